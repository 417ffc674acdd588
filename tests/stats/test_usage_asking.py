"""What callers may ask about usage, and what they are told where it can't be meant."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import RefusedError
from midstage.stats.views.asker import Asker
from midstage.stats.views.usage import asking
from midstage.stats.views.usage.accepting import accepted
from midstage.stats.views.usage.asker import allowed, told
from midstage.stats.views.usage.asking import Meant, from_body, from_parameters
from midstage.stats.views.usage.parts import Standing
from midstage.stats.views.usage.question import (
    LABEL,
    Dimension,
    Measure,
    Ordered,
    Timing,
    Window,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = ("from", "2026-01-01T00:00:00+01:00")


def get(*given: tuple[str, str]) -> Meant:
    return from_parameters(given, now=NOW)


def test_a_question_says_what_to_measure_of_what_time_by_what_and_of_whom() -> None:
    meant = get(
        DAY,
        ("to", "2026-02-01T00:00:00Z"),
        ("window", "week"),
        ("zone", "Europe/Berlin"),
        ("group_by", "app, label.team"),
        ("group_by", "status"),
        ("measures", "requests,units.images,ttft_ms.p99.9,ttft_ms.p50"),
        ("customer", "acme"),
        ("customer", "globex, of Springfield"),
        ("status", "429"),
        ("estimated", "false"),
        ("label.team", "a"),
        ("order", "-units.images,window"),
        ("limit", "10"),
    )
    question = meant.question
    assert question.since == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert question.until == datetime(2026, 2, 1, tzinfo=UTC)
    assert (question.window, question.zone) == (Window.WEEK, "Europe/Berlin")
    assert question.group_by == ("app", "label.team", "status")
    assert question.wanted.measures == {Measure.REQUESTS}
    assert question.wanted.units == frozenset({"images"})
    assert question.wanted.quantiles == {Timing.FIRST_TOKEN: ("p99.9", "p50")}
    assert question.among == {
        "customer": ("acme", "globex, of Springfield"),
        "status": (429,),
        "estimated": (False,),
        "label.team": ("a",),
    }
    assert question.order == (Ordered(by="units.images", falling=True), Ordered(by="window"))
    assert (meant.limit, meant.after) == (10, None)


def test_post_says_the_same_as_get() -> None:
    body = (
        b'{"from": "2026-01-01T00:00:00+01:00", "window": "day", "group_by": ["app"], '
        b'"measures": ["customers"], "where": {"customer": ["acme"], "status": [200], '
        b'"estimated": [true]}, "order": ["-customers"], "limit": 7, "after": "x"}'
    )
    parameters = (
        *(DAY, ("window", "day"), ("group_by", "app"), ("measures", "customers")),
        *(("customer", "acme"), ("status", "200"), ("estimated", "true")),
        *(("order", "-customers"), ("limit", "7"), ("after", "x")),
    )
    assert from_body(body, now=NOW) == get(*parameters)


def test_a_name_may_hold_commas_and_quotes() -> None:
    """They are the callers' own words: a label `team, "red"` is asked for as any other."""
    names = ('label.team, "red"', "app", 'label."x"', "label. y ")
    listed = '"label.team, ""red""", app ,"label.""x""" , "label. y "'
    found = get(("group_by", listed), ("order", '"-label.team, ""red"""')).question
    assert found.group_by == names
    assert [(one.by, one.falling) for one in found.order] == [(names[0], True)]
    assert get(("group_by", 'label.a"b')).question.group_by == ('label.a"b',)
    assert get(("group_by", " , ,")).question.group_by == ()


def test_nothing_said_is_all_there_is() -> None:
    question = get().question
    assert question == from_body(b"", now=NOW).question == from_body(b"{}", now=NOW).question
    assert (question.since, question.until, question.window, question.group_by) == (
        *(None, None, None),
        (),
    )
    assert question.wanted.units is None
    assert question.wanted.columns == ("requests", "outcomes", "units")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("from", "yesterday", "from: 'yesterday' is not a time"),
        ("from", "2026-01-01T12:00:00", "from: '2026-01-01T12:00:00' has no time zone"),
        ("to", "0001-01-01T00:00:00+23:00", "to: '0001-01-01T00:00:00+23:00' is not a time"),
        ("to", "1969-12-31T23:59:59Z", "to: '1969-12-31T23:59:59Z' is not between 1970"),
        ("to", "2200-01-01T00:00:00Z", "to: '2200-01-01T00:00:00Z' is not between 1970 and 2199"),
        ("window", "fortnight", "window: 'fortnight' is none of second, minute"),
        ("window", "day", "window: a window of one day needs from"),
        ("zone", "Mars/Olympus", "zone: 'Mars/Olympus' is no time zone"),
        ("zone", "../../etc/passwd", "is no time zone"),
        ("zone", "Europe", "is no time zone"),
        ("group_by", "app,colour", "group_by: 'colour' is none of customer, app"),
        ("group_by", "app,app", "group_by: 'app' is named twice"),
        ("group_by", "label.", "'label.' is none of"),
        ("group_by", ",".join(f"label.{i}" for i in range(9)), "group_by: at most 8"),
        ("measures", "requests,money", "measures: 'money' is none of requests, outcomes"),
        ("measures", "latency_ms.p42", "measures: 'latency_ms.p42' is none of"),
        ("measures", "outcomes.lost", "measures: 'outcomes.lost' is none of"),
        ("measures", ",".join(f"units.{i}" for i in range(65)), "measures: at most 64"),
        ("order", "app", "order: 'app' is neither in group_by nor a measure"),
        ("order", "units", "order: 'units' is neither"),
        ("order", "latency_ms.p50", "order: 'latency_ms.p50' is neither"),
        ("limit", "0", "limit: 0 is not between 1 and 10000"),
        ("limit", "10001", "limit: 10001 is not between"),
        ("limit", "many", "limit: 'many' is not a number"),
        ("status", "2xx", "status: '2xx' is no status"),
        ("estimated", "perhaps", "estimated: 'perhaps' is neither true nor false"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_its_name(
    name: str, text: str, sentence: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        get((name, text))
    assert sentence in str(refused.value)
    assert refused.value.status == 400


def test_too_many_windows_are_refused_before_anything_is_read() -> None:
    with pytest.raises(RefusedError, match="window: more than 100000 windows of one second"):
        get(DAY, ("to", "2026-01-03T00:00:00Z"), ("window", "second"))
    assert get(DAY, ("to", "2026-01-02T00:00:00Z"), ("window", "second"))


def test_windows_up_to_now_are_bounded_too() -> None:
    with pytest.raises(RefusedError, match="window: more than 100000 windows of one second"):
        get(DAY, ("window", "second"))
    with pytest.raises(RefusedError, match="window: more than 100000 windows of one minute"):
        get(("from", "2016-01-01T00:00:00Z"), ("window", "minute"))
    assert get(("from", "1970-01-01T00:00:00Z"), ("window", "day"))


def test_from_after_to_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"from: .* is after"):
        get(("from", "2026-01-02T00:00:00Z"), ("to", "2026-01-01T00:00:00Z"))
    assert get(("from", "2026-01-01T00:00:00Z"), ("to", "2026-01-01T01:00:00+01:00"))  # no time


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"group_by": ["app", "colour"]}', "/group_by/1: 'colour'"),
        (b'{"group_by": ["app", 7]}', "/group_by/1: Expected `str`"),
        (b'{"group_by": "app"}', "/group_by: Expected `array`"),
        (b'{"where": {"customer": [7]}}', "/where/customer/0: 7 is no text"),
        (b'{"where": {"customer": []}}', "/where/customer: 1 to 1000 values"),
        (b'{"where": {"colour": ["red"]}}', "/where/colour: 'colour' is none of"),
        (b'{"where": {"status": [true]}}', "/where/status/0: True is no status"),
        (b'{"measures": ["requests", "x"]}', "/measures/1: 'x' is none of"),
        (b'{"order": ["requests", "app"]}', "/order/1: 'app' is neither"),
        (b'{"limit": "many"}', "/limit: Expected `int | null`"),
        (b'{"colour": 1}', "/: Object contains unknown field `colour`"),
        (b"[]", "/: Expected `object`"),
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[" * 100_000, "/: Expected `object`"),
    ],
)
def test_a_field_of_a_body_is_named_by_its_pointer(body: bytes, pointer: str) -> None:
    with pytest.raises(RefusedError) as refused:
        from_body(body, now=NOW)
    assert str(refused.value).startswith(pointer)
    assert refused.value.status == 400


names = st.one_of(
    st.sampled_from(["from", "to", "window", "zone", "limit", "after", "group_by", "measures"]),
    st.sampled_from(["order", *Dimension]),
    st.text(max_size=12).map(lambda text: f"{LABEL}{text}"),
)


@given(st.dictionaries(names, st.text(max_size=40), max_size=4))
def test_whatever_is_said_is_meant_or_refused(given: dict[str, str]) -> None:
    with suppress(RefusedError):
        get(*given.items())


FORMS = ("application/json", "text/csv", "application/vnd.apache.parquet")


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (None, FORMS[0]),
        ("*/*", FORMS[0]),
        ("text/csv", FORMS[1]),
        ("Text/CSV; charset=utf-8", FORMS[1]),
        ("text/*", FORMS[1]),
        ("application/vnd.apache.parquet, application/json;q=0.5", FORMS[2]),
        ("application/json;q=0.1, */*;q=0.2", FORMS[1]),
        ("text/html, */*;q=0.1", FORMS[0]),
    ],
)
def test_the_form_that_is_liked_best_is_given(header: str | None, form: str) -> None:
    assert accepted(header, FORMS) == form


@pytest.mark.parametrize("header", ["text/html", "text/csv;q=0", "application/*;q=0, x/y", "a;q=b"])
def test_a_form_that_there_is_not_is_a_406(header: str) -> None:
    with pytest.raises(RefusedError) as refused:
        accepted(header, FORMS)
    assert refused.value.status == 406


def test_a_customer_sees_its_own_usage_alone() -> None:
    acme = Asker(customer="acme")
    assert allowed(get().question, acme).among == {"customer": ("acme",)}
    assert allowed(get(("customer", "acme")).question, acme).among == {"customer": ("acme",)}
    for others in (("globex",), ("acme", "globex"), ("ACME",), ("",)):
        with pytest.raises(RefusedError) as refused:
            allowed(get(*(("customer", name) for name in others)).question, acme)
        assert refused.value.status == 403
    everybody = get(("customer", "globex")).question
    assert allowed(everybody, Asker(customer=None)) == everybody


def test_a_customer_is_not_told_how_much_all_have_used() -> None:
    standing = Standing(versions={0: 3}, positions={"requests/0": 9}, complete_until=NOW)
    assert told(standing, Asker(customer="acme")).positions == {}
    assert told(standing, Asker(customer=None)) == standing


def test_the_default_page_is_no_larger_than_the_largest() -> None:
    assert asking.DEFAULT_ROWS <= asking.MOST_ROWS
