"""Which limits a request meets, and which meters are remembered."""

from collections.abc import Mapping
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.algorithms import TokenBucket
from midstage.contracts.limits import CustomerPlanned, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.decide.judging import judged
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.model.checks import UNLABELLED, Check
from midstage.throttle.model.limits import Standing, customer_key, limit_key
from midstage.throttle.stream.unkept import Unkept
from midstage.throttle.views.book import MOST_KEPT, Book
from midstage.throttle.views.meters import Meters

SECOND = 1_000_000_000

EXACT = ("exact", "acme", "chat")
CUSTOMER = ("customer", "acme", "*")
APP = ("app", "*", "chat")
ANY = ("any", "*", "*")

LARGE = {"model": "large"}
NAMES, WHOM, WHERE = (
    st.sampled_from(each) for each in (("one", "two"), ("acme", "*"), ("chat", "*"))
)


@pytest.mark.parametrize("order", list(permutations([EXACT, CUSTOMER, APP, ANY])))
def test_all_limits_that_a_request_meets_hold(order: tuple[tuple[str, str, str], ...]) -> None:
    book = of(*(limited(*which) for which in order))
    assert met(book, "acme", "chat") == ["any", "app", "customer", "exact"]
    assert met(book, "acme", "ocr") == ["any", "customer"]
    assert met(book, "bolt", "chat") == ["any", "app"]
    assert met(book, "bolt", "ocr") == ["any"]


def test_without_a_match_no_limit_holds() -> None:
    book = of(limited(*EXACT))
    assert met(book, "bolt", "chat") == met(book, "acme", "ocr") == []


def test_a_plans_limit_holds_for_its_customers_alone() -> None:
    gold = limited("gold", "*", "*", plan="gold")
    book = of(gold, planned("acme", "gold"), planned("bolt", "iron"))
    assert met(book, "acme", "chat") == ["gold"]
    assert met(book, "bolt", "chat") == met(book, "crow", "chat") == []


def test_who_changes_the_plan_changes_the_limits() -> None:
    gold, iron = limited("gold", "*", "*", plan="gold"), limited("iron", "*", "*", plan="iron")
    book = of(gold, iron, planned("acme", "gold"))
    book.take_over(states(gold, iron, planned("acme", "iron")))
    assert met(book, "acme", "chat") == ["iron"]
    book.take_over({**states(gold, iron), customer_key("acme"): Standing()})
    assert met(book, "acme", "chat") == []


def test_a_keys_limit_holds_for_that_key_alone() -> None:
    book = of(limited("web", "acme", "*", key="web"), limited("each", "acme", "*", key="*"))
    assert met(book, "acme", "chat", key="web") == ["each", "web"]
    assert met(book, "acme", "chat", key="batch") == ["each"]
    assert met(book, "acme", "chat") == []
    assert met(book, "bolt", "chat", key="web") == []


def test_an_override_holds_for_its_customers_requests_alone() -> None:
    own = limited("own", "acme", "chat", overrides=("gold",))
    gold = limited("gold", "*", "*", plan="gold")
    book = of(own, gold, limited(*ANY), planned("acme", "gold"), planned("bolt", "gold"))
    assert met(book, "acme", "chat") == ["any", "own"]
    assert met(book, "acme", "ocr") == ["any", "gold"]
    assert met(book, "bolt", "chat") == ["any", "gold"]


def test_removed_limits_do_not_hold() -> None:
    here, gone = limited("here", "acme", "chat"), limited("gone", "acme", "chat")
    book = of(here, gone)
    assert met(book, "acme", "chat") == ["gone", "here"]
    book.take_over({limit_key("gone"): Standing(), limit_key("here"): Standing(fact=here)})
    assert met(book, "acme", "chat") == ["here"]
    assert book.named("gone") is None
    assert len(book) == 1


@pytest.mark.parametrize("which", [EXACT, CUSTOMER, APP, ANY])
def test_what_was_found_is_kept_until_a_limit_changes(which: tuple[str, str, str]) -> None:
    book = of(limited(*which))
    first = book.met("acme", "", "chat")
    assert book.met("acme", "", "chat") is first
    book.take_over(states(limited(*which, rate=2)))
    assert book.met("acme", "", "chat") is not first


def test_what_all_others_meet_stays_found_when_a_customers_own_limit_changes() -> None:
    book = of(limited(*ANY), limited(*CUSTOMER))
    others, own = book.met("bolt", "", "chat"), book.met("acme", "", "chat")
    book.take_over(states(limited(*CUSTOMER, rate=2)))
    assert book.met("bolt", "", "chat") is others
    assert book.met("acme", "", "chat") is not own


def test_strangers_meet_what_was_found_once() -> None:
    book = of(limited(*ANY), limited(*APP), limited("web", "acme", "*", key="web"))
    found = book.met("stranger", "", "chat")
    elsewhere = book.met("stranger", "", "elsewhere")
    assert found is not elsewhere
    for number in range(1000):
        assert book.met(f"stranger-{number}", "", "chat") is found
        assert book.met("stranger", "", f"elsewhere-{number}") is elsewhere
        assert met(book, "acme", "chat", key=f"strange-{number}") == ["any", "app"]


def test_who_is_named_in_very_many_ways_fills_no_memory() -> None:
    apps = range(MOST_KEPT + 1000)
    book = of(limited(*ANY), *(limited(f"app-{n}", "acme", f"app-{n}") for n in apps))
    for n in apps:
        assert met(book, "acme", f"app-{n}") == ["any", f"app-{n}"]
        assert met(book, "bolt", f"app-{n}") == ["any"]
    assert 0 < book.kept <= 2 * (MOST_KEPT + 1)


@given(st.data())
def test_a_book_that_followed_each_change_is_one_that_was_told_all(data: st.DataObject) -> None:
    followed, facts = Book(), dict[str, Standing]()
    for _ in range(data.draw(st.integers(1, 12))):
        key, standing = data.draw(CHANGES)
        facts[key] = standing
        followed.take_over({key: standing})
        told = Book(facts)
        whom = product(("acme", "bolt"), ("chat", "ocr"), ("", "web"), (UNLABELLED, LARGE))
        for asking in whom:
            assert met(followed, *asking) == met(told, *asking)
        assert len(followed) == len(told)


def test_each_customer_of_an_any_limit_has_a_meter_and_all_apps_share_it() -> None:
    book, meters = of(limited(*ANY, burst=1)), metering()
    assert passes(meters, book, "acme")
    assert not passes(meters, book, "acme", app="ocr")
    assert passes(meters, book, "bolt")


def test_each_key_has_a_meter_where_the_limit_says_so() -> None:
    book, meters = of(limited("each", "acme", "*", key="*", burst=1)), metering()
    assert passes(meters, book, "acme", key="web")
    assert not passes(meters, book, "acme", key="web")
    assert passes(meters, book, "acme", key="batch")


def test_untouched_meters_are_forgotten_and_others_never() -> None:
    slow = limited("slow", "known", "*", burst=10)
    book, meters = of(slow, limited("any", "*", "ocr", burst=2)), metering()
    for _ in range(10):
        assert passes(meters, book, "known", at=0)
    for number in range(20_000):
        at = number * SECOND // 2_000
        passes(meters, book, f"random-{number}", app="ocr", at=at)
        meters.sweep(book, now_ns=at, most=4)
        if number > 10_000:
            assert len(meters) < 5_000
    at = 9 * SECOND
    assert not passes(meters, book, "known", at=at, hits=10)
    assert passes(meters, book, "known", at=at, hits=9)


def test_after_a_while_nothing_is_left() -> None:
    book, meters = of(limited(*ANY, burst=5)), metering()
    for number in range(1000):
        passes(meters, book, f"random-{number}", at=0)
    assert len(meters) == 1000
    meters.sweep(book, now_ns=SECOND - 1, most=1000)
    assert len(meters) == 1000
    meters.sweep(book, now_ns=SECOND, most=1000)
    assert len(meters) == 0


def test_a_raised_rate_counts_from_the_sweep_on_though_nobody_asks() -> None:
    slow, fast = limited("one", "acme", "*", every_s=10**6), limited("one", "acme", "*")
    meters = metering()
    assert passes(meters, of(slow), "acme", hits=10)
    meters.sweep(of(fast), now_ns=5 * SECOND, most=10)
    assert not passes(meters, of(fast), "acme", at=6 * SECOND - SECOND // 2)
    assert passes(meters, of(fast), "acme", at=6 * SECOND)


def test_meters_of_removed_limits_are_forgotten() -> None:
    meters = metering()
    passes(meters, of(limited(*ANY)), "acme", at=0)
    meters.sweep(of(), now_ns=0, most=10)
    assert len(meters) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, SECOND)), max_size=60))
def test_sweeping_changes_no_verdict(asked: list[tuple[int, int]]) -> None:
    book, swept, kept = of(limited(*ANY, burst=2, rate=3)), metering(), metering()
    at = 0
    for customer, gap in asked:
        at += gap
        swept.sweep(book, now_ns=at, most=2)
        name = f"customer-{customer}"
        assert passes(swept, book, name, at=at) == passes(kept, book, name, at=at)


def metering() -> Meters:
    return Meters(WallClock(), Unkept().open)


def passes(
    meters: Meters,
    book: Book,
    customer: str,
    *,
    app: str = "chat",
    key: str = "",
    at: int = 0,
    hits: int = 1,
) -> bool:
    meeting = book.met(customer, key, app)
    assert meeting is not None
    check = Check(customer=customer, key=key, app=app, hits=hits)
    return judged(meeting, meters.of(meeting, customer, key, at), check, at).admitted


def met(
    book: Book, customer: str, app: str, key: str = "", labels: Mapping[str, str] = UNLABELLED
) -> list[str]:
    meeting = book.met(customer, key, app, labels)
    return [limit.limit for limit in meeting.limits] if meeting else []


def of(*facts: LimitSet | CustomerPlanned) -> Book:
    return Book(states(*facts))


def states(*facts: LimitSet | CustomerPlanned) -> Mapping[str, Standing]:
    return {
        limit_key(fact.limit)
        if isinstance(fact, LimitSet)
        else customer_key(fact.customer): Standing(fact=fact)
        for fact in facts
    }


def planned(customer: str, plan: str) -> CustomerPlanned:
    return CustomerPlanned(customer=customer, plan=plan, at=NOON)


def limited(
    name: str,
    customer: str,
    app: str,
    *,
    key: str = "",
    plan: str = "",
    rate: int = 1,
    every_s: float = 1.0,
    burst: int = 10,
    overrides: tuple[str, ...] = (),
    match: Mapping[str, str] = UNLABELLED,
) -> LimitSet:
    return LimitSet(
        limit=name,
        customer=customer,
        key=key,
        plan=plan,
        app=app,
        amount=rate,
        algorithm=TokenBucket(period_s=every_s, burst=burst),
        overrides=overrides,
        match=dict(match),
        at=NOON,
    )


CHANGES = st.one_of(
    st.builds(
        lambda name, whom, where, key, plan, over, match: (
            limit_key(name),
            Standing(
                fact=limited(name, whom, where, key=key, plan=plan, overrides=over, match=match)
            ),
        ),
        NAMES,
        WHOM,
        WHERE,
        st.sampled_from(["", "web", "*"]),
        st.sampled_from(["", "gold"]),
        st.sampled_from([(), ("one",)]),
        st.sampled_from([UNLABELLED, LARGE]),
    ),
    st.builds(
        lambda whom, plan: (customer_key(whom), Standing(fact=planned(whom, plan))),
        st.sampled_from(["acme", "bolt"]),
        st.sampled_from(["gold", "iron"]),
    ),
    st.sampled_from([limit_key("one"), limit_key("two"), customer_key("acme")]).map(
        lambda key: (key, Standing())
    ),
)
