"""Rules of envoyproxy/ratelimit: what is read, which rule holds, and how it counts."""

from collections.abc import Mapping

import pytest

from midstage.contracts.errors import RefusedError
from midstage.throttle.decide.imported.book import Book
from midstage.throttle.decide.imported.counting import Counters, Options
from midstage.throttle.decide.imported.matching import fits, matched
from midstage.throttle.decide.imported.reading import domains_of
from midstage.throttle.model.imported import (
    UNLIMITED,
    Answer,
    Descriptor,
    Entry,
    Match,
    Node,
    Override,
    Request,
    Unit,
)

MINUTE = {"unit": "minute", "requests_per_unit": 10}
HOUR = {"unit": "hour", "requests_per_unit": 3}


def of(*descriptors: object) -> dict[str, object]:
    return {"domain": "d", "descriptors": list(descriptors)}


def limited(**changed: object) -> dict[str, object]:
    return of({"key": "k", "rate_limit": {**MINUTE, **changed}})


def deep(levels: int) -> object:
    return {"k": deep(levels - 1)} if levels else "end"


def tree(*descriptors: object) -> Mapping[str, Node]:
    return domains_of([("file", of(*descriptors))])


def found(domains: Mapping[str, Node], *entries: Entry) -> Match | None:
    return matched(domains, "d", Descriptor(entries=entries))


def limit(domains: Mapping[str, Node], *entries: Entry) -> int | None:
    match = found(domains, *entries)
    return None if match is None else match.rule.requests


@pytest.mark.parametrize(
    ("pattern", "text", "fit"),
    [
        ("foo*", "foo", True),
        ("foo*", "fo", False),
        ("bar*b", "barb", True),
        ("bar*b", "bar123b", True),
        ("bar*b", "bara", False),
        ("ba*ab", "bab", False),
        ("foo*bar*baz", "foobarbaz", True),
        ("foo*bar*baz", "foo1barbar2baz", True),
        ("foo*bar*baz", "foo123baz", False),
        ("a*b*b", "ab", False),
        ("*", "", True),
        ("exact", "exact", True),
        ("exact", "exactly", False),
    ],
)
def test_a_star_stands_for_anything(pattern: str, text: str, fit: bool) -> None:
    assert fits(pattern, text) is fit


def test_a_value_goes_before_a_wildcard_and_that_before_the_key_alone() -> None:
    domains = tree(
        {"key": "k", "rate_limit": {"unit": "day", "requests_per_unit": 1}},
        {"key": "k", "value": "ab*", "rate_limit": {"unit": "day", "requests_per_unit": 2}},
        {"key": "k", "value": "a*", "rate_limit": {"unit": "day", "requests_per_unit": 3}},
        {"key": "k", "value": "abc", "rate_limit": {"unit": "day", "requests_per_unit": 4}},
    )
    assert [limit(domains, ("k", value)) for value in ("abc", "abd", "ax", "z", "")] == [
        4,
        2,
        3,
        1,
        1,
    ]


def test_a_rule_holds_at_its_own_depth_alone() -> None:
    below = [{"key": "b", "rate_limit": HOUR}]
    domains = tree(
        {"key": "a", "value": "1", "rate_limit": MINUTE, "descriptors": below},
        {"key": "free", "value": "x"},
    )
    assert limit(domains, ("a", "1")) == 10
    assert limit(domains, ("a", "1"), ("b", "2")) == 3
    assert limit(domains, ("a", "1"), ("b", "2"), ("c", "3")) is None
    assert limit(domains, ("a", "1"), ("c", "2")) is None
    assert limit(domains, ("free", "x")) is None
    assert limit(domains) is None


def test_a_limit_that_the_request_carries_holds_in_a_known_domain_alone() -> None:
    carried = Override(requests=7, unit=Unit.DAY)
    asked = Descriptor(entries=(("a", "1"),), override=carried)
    match = matched(tree(), "d", asked)
    assert match is not None
    assert (match.rule.requests, match.rule.unit, match.metric) == (7, Unit.DAY, "d.a_1")
    assert matched(tree(), "other", asked) is None


@pytest.mark.parametrize(
    ("extra", "value", "metric"),
    [
        ({}, "x", "d.k"),
        ({"value": "x"}, "x", "d.k_x"),
        ({"value": "x*"}, "x1", "d.k_x*"),
        ({"detailed_metric": True}, "x", "d.k_x"),
        ({"value_to_metric": True}, "x", "d.k_x"),
        ({"value": "x*", "value_to_metric": True}, "x1", "d.k_x1"),
        ({"value": "x*", "share_threshold": True}, "x1", "d.k_x*"),
        ({"value": "x*", "share_threshold": True, "value_to_metric": True}, "x1", "d.k_x*"),
        ({"value": "x*", "share_threshold": True, "detailed_metric": True}, "x1", "d.k_x*"),
        ({"key": "k*"}, "x", "d.k_k*"),
        ({"key": "k*", "share_threshold": True}, "x", "d.k_k*"),
        ({"detailed_metric": True}, "", "d.k_"),
        ({"value": "*", "share_threshold": True, "detailed_metric": True}, "", "d.k_*"),
    ],
)
def test_the_name_of_the_statistics(extra: dict[str, object], value: str, metric: str) -> None:
    match = found(tree({"key": "k", "rate_limit": MINUTE, **extra}), ("k", value))
    assert match is not None
    assert match.metric == metric


def test_values_under_a_shared_wildcard_have_one_counter_also_deeper() -> None:
    domains = tree(
        {"key": "f", "value": "a*", "share_threshold": True,
         "descriptors": [{"key": "user", "rate_limit": MINUTE}]}
    )  # fmt: skip
    first = found(domains, ("f", "a1"), ("user", "ann"))
    assert first is not None
    same = found(domains, ("f", "a2"), ("user", "ann"))
    other = found(domains, ("f", "a1"), ("user", "bob"))
    assert same is not None
    assert other is not None
    assert first.key == same.key
    assert first.key != other.key


def test_an_empty_value_beside_a_shared_one_leaves_no_line_in_the_name() -> None:
    below = {"key": "user", "detailed_metric": True, "rate_limit": MINUTE}
    shared = {"key": "f", "value": "a*", "share_threshold": True, "descriptors": [below]}
    match = found(tree(shared, {"key": "g", "descriptors": [below]}), ("f", "a1"), ("user", ""))
    assert match is not None
    assert match.metric == "d.f_a*.user"


def test_a_rule_without_a_number_is_a_ban_as_there() -> None:
    assert limit(tree({"key": "k", "rate_limit": {"unit": "day"}}), ("k", "")) == 0
    empty = {"unit": "day", "requests_per_unit": None}
    assert limit(tree({"key": "k", "rate_limit": empty}), ("k", "")) == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({}, "config file cannot have empty domain"),
        ([], "is no map"),
        (of({"value": "v"}), "descriptor has empty key"),
        (of({"key": "k"}, {"key": "k"}), "duplicate descriptor composite key 'd.k'"),
        (of("k"), "list of type other than map: k"),
        ({"domain": "d", "limits": []}, "unknown key 'limits'"),
        ({1: "d"}, "key is not of type string: 1"),
        (limited(unit="fortnight"), "invalid rate limit unit 'fortnight'"),
        (limited(unlimited=True), "should not specify rate limit unit when unlimited"),
        (limited(replaces=[{}]), "should not have an empty replaces entry"),
        (limited(name="a", replaces=[{"name": "a"}]), "should not contain name of same"),
        (limited(requests_per_unit=-1), "requests_per_unit -1 is no uint32"),
        (of({"key": "k", "share_threshold": True}), "share_threshold can only be used with wild"),
        (of({"key": "k", "rate_limit": MINUTE, "shadow_mode": "yes"}), "is no boolean"),
        (of({"key": "k", "metadata": "text"}), "'text' is no map"),
        (of({"key": "k", "metadata": {"a": {"b": object()}}}), "metadata: invalid type: object"),
        (of({"key": "k", "metadata": {"a": "b" * 4096}}), "metadata: it is larger than 4096"),
        (of({"key": "k", "metadata": deep(17)}), "metadata: deeper than 16 levels"),
    ],
)
def test_what_is_no_file_of_rules_is_refused(content: object, why: str) -> None:
    with pytest.raises(RefusedError, match=f"file: .*{why}"):
        domains_of([("file", content)])


def test_files_of_one_domain_are_merged_where_that_is_wanted() -> None:
    files = [
        ("one", {"domain": "d", "descriptors": [{"key": "a", "rate_limit": MINUTE}]}),
        ("two", {"domain": "d", "descriptors": [{"key": "b", "rate_limit": HOUR}]}),
    ]
    with pytest.raises(RefusedError, match="two: duplicate domain 'd'"):
        domains_of(files)
    domains = domains_of(files, merge=True)
    assert (limit(domains, ("a", "")), limit(domains, ("b", ""))) == (10, 3)


def test_a_bad_file_leaves_the_rules_before_it_in_force() -> None:
    book = Book()
    assert (
        book.load([("good", {"domain": "d", "descriptors": [{"key": "k", "rate_limit": MINUTE}]})])
        is None
    )
    refused = book.load([("bad", {"domain": "d", "descriptors": [{"key": "k"}, {}]})])
    assert str(refused) == "bad: descriptor has empty key (at descriptors[1])"
    assert book.refused is refused
    assert limit(book.domains, ("k", "v")) == 10
    assert (book.loaded, book.failed) == (1, 1)


class Service:
    """Rules, counters, and requests in the domain of the rules."""

    def __init__(self, *descriptors: object, options: Options | None = None) -> None:
        self.domains = tree(*descriptors)
        self.counters = Counters(options=options or Options())

    def ask(self, *entries: Entry, hits: int = 1, at: int = 0, each: int | None = None) -> Answer:
        """One descriptor for each entry."""
        asked = tuple(Descriptor(entries=(entry,), hits=each) for entry in entries)
        request = Request(domain="d", descriptors=asked, hits=hits)
        return self.counters.answer(self.domains, request, at)


def test_refused_hits_count_too_and_windows_begin_anew() -> None:
    service = Service({"key": "k", "rate_limit": MINUTE})
    assert service.ask(("k", "v"), hits=8).statuses[0].remaining == 2
    assert service.ask(("k", "v"), hits=3).over
    assert service.ask(("k", "v"), at=59).over
    assert service.ask(("k", "v"), at=60).statuses[0].remaining == 9
    stats = service.counters.stats["d.k"]
    assert (stats.total_hits, stats.over_limit, stats.near_limit, stats.within_limit) == (
        13,
        2,
        2,
        9,
    )


def test_hits_below_nothing_are_given_back_and_always_pass() -> None:
    service = Service({"key": "k", "rate_limit": MINUTE})
    service.ask(("k", "v"), hits=12)
    back = service.ask(("k", "v"), each=-1)
    assert (back.over, back.statuses[0].remaining) == (False, 0)
    assert service.ask(("k", "v"), each=-100).statuses[0].remaining == 10
    assert service.ask(("k", "v"), each=0).statuses[0].remaining == 10


def test_stopping_charges_only_what_goes_over() -> None:
    rules = ({"key": "a", "rate_limit": HOUR}, {"key": "b", "rate_limit": MINUTE})
    service = Service(*rules, options=Options(stop_when_over=True))
    assert not service.ask(("a", "x"), ("b", "x"), hits=3).over
    over = service.ask(("a", "x"), ("b", "x"), hits=1)
    assert over.over
    assert [status.remaining for status in over.statuses] == [0, 7]


def test_a_local_cache_answers_without_counting() -> None:
    service = Service({"key": "k", "rate_limit": HOUR}, options=Options(local_cache=True))
    for _ in range(6):
        last = service.ask(("k", "v"))
    assert last.over
    stats = service.counters.stats["d.k"]
    assert (stats.over_limit, stats.over_limit_with_local_cache) == (3, 2)
    assert not service.ask(("k", "v"), at=3600).over


def test_a_local_cache_is_looked_at_before_anything_of_a_request_is_counted() -> None:
    service = Service({"key": "k", "rate_limit": HOUR}, options=Options(local_cache=True))
    assert service.ask(("k", "v"), ("k", "v"), hits=4).over
    stats = service.counters.stats["d.k"]
    assert (stats.over_limit, stats.over_limit_with_local_cache) == (5, 0)


def test_unlimited_and_replaced_rules_count_nothing() -> None:
    service = Service(
        {"key": "free", "rate_limit": {"unlimited": True}},
        {"key": "a", "rate_limit": {**HOUR, "name": "a"}},
        {"key": "b", "rate_limit": {**MINUTE, "replaces": [{"name": "a"}]}},
    )
    answer = service.ask(("free", ""), ("a", ""), ("b", ""), hits=9)
    assert not answer.over
    assert [status.remaining for status in answer.statuses] == [UNLIMITED, 0, 1]
    assert service.ask(("a", "")).statuses[0].remaining == 2


def test_quota_descriptors_of_one_model_refuse_when_one_of_them_is_over() -> None:
    domains = tree(
        {"key": "backend_name", "descriptors": [
            {"key": "tenant", "quota_mode": True, "rate_limit": {**HOUR, "requests_per_unit": 1}},
            {"key": "all", "quota_mode": True, "rate_limit": MINUTE},
        ]}
    )  # fmt: skip
    counters = Counters()
    asked = [
        (("backend_name", name), (key, "x")) for name in ("a", "b") for key in ("tenant", "all")
    ]

    def over(*which: int) -> bool:
        descriptors = tuple(Descriptor(entries=asked[number]) for number in which)
        return counters.answer(domains, Request(domain="d", descriptors=descriptors), 0).over

    assert not over(0, 1)
    assert not over(0, 1, 2, 3)
    assert over(0, 1, 2, 3)


def test_shadows_pass_and_are_counted() -> None:
    service = Service({"key": "k", "shadow_mode": True, "rate_limit": HOUR})
    answer = service.ask(("k", "v"), hits=5)
    assert (answer.over, answer.statuses[0].over, answer.statuses[0].remaining) == (False, False, 0)
    assert service.counters.stats["d.k"].shadow_mode == 2
    everywhere = Service({"key": "k", "rate_limit": HOUR}, options=Options(global_shadow=True))
    answer = everywhere.ask(("k", "v"), hits=5)
    assert (answer.over, answer.statuses[0].over) == (False, True)
    assert everywhere.counters.global_shadow_mode == 1


def test_a_request_that_asks_nothing_is_refused() -> None:
    with pytest.raises(RefusedError, match="domain must not be empty"):
        Counters().answer({}, Request(domain="", descriptors=()), 0)
    with pytest.raises(RefusedError, match="descriptor list must not be empty"):
        Counters().answer({}, Request(domain="d", descriptors=()), 0)


def test_a_clock_that_goes_back_stays_in_its_window_and_old_ones_are_forgotten() -> None:
    service = Service({"key": "k", "rate_limit": HOUR})
    assert service.ask(("k", "v"), hits=3, at=3600).statuses[0].remaining == 0
    assert service.ask(("k", "v"), at=3599).over
    service.counters.sweep(7199)
    assert len(service.counters) == 1
    service.counters.sweep(7200)
    assert len(service.counters) == 0
