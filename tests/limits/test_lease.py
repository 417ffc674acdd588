"""What a holder does with what it was lent, to the end of the term and after it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.limits.lease import Book, Lease, Plan, Short, Terms

SECOND = 10**9
TERM = 10 * SECOND


def terms(limit: str = "l", **more: object) -> Terms:
    said: dict[str, object] = {"rate_micros": 1_000_000, "burst": 5, "add": 5, **more}
    return Terms(limit=limit, **said)  # type: ignore[arg-type]  # the fields by name


def lent(*parts: Terms) -> Plan:
    book = Book()
    assert book.renew(1, parts, until_ns=TERM, now_ns=0)
    return Plan(book, [each.limit for each in parts])


def test_all_limits_pass_or_nothing_is_taken() -> None:
    plan = lent(terms("wide"), terms("narrow", add=2))
    assert [plan.take(0) for _ in range(3)] == [True, True, False]
    assert [lease.left for lease in plan.leases] == [3, 0]
    assert plan.short({}, 0) == (Short(limit="narrow", left=0, wait_ns=SECOND),)
    assert plan.take(SECOND)


def test_units_are_charged_where_they_are_counted() -> None:
    plan = lent(terms("requests"), terms("tokens", unit="tokens"))
    assert plan.take_units({"tokens": 5}, 0)
    assert not plan.take_units({"tokens": 1}, 0)
    assert not plan.take(0), "without an estimate one token has to be left"
    assert [lease.left for lease in plan.leases] == [4, 0]
    assert plan.short({"tokens": 6}, 0)[0].wait_ns is None
    assert plan.demand()[0] == {"requests": 3, "tokens": 6}
    assert plan.demand() == ({"requests": 0}, {})


@pytest.mark.parametrize("is_open", [True, False])
def test_when_the_term_is_over_the_failure_rule_holds(is_open: bool) -> None:
    plan = lent(terms(is_open=is_open))
    assert plan.take(TERM - 1)
    assert plan.take(TERM) is is_open
    assert plan.take_units({"requests": 100}, TERM) is is_open


def test_an_older_answer_changes_nothing_and_a_newer_one_keeps_what_is_left() -> None:
    plan = lent(terms())
    assert plan.take(0)
    assert not plan.book.renew(1, [terms()], until_ns=2 * TERM, now_ns=0)
    assert plan.book.renew(2, [terms(burst=10, add=3)], until_ns=2 * TERM, now_ns=0)
    assert plan.book.leases["l"].left == 7
    assert plan.book.renew(3, [terms(burst=2, add=0)], until_ns=2 * TERM, now_ns=0)
    assert plan.book.leases["l"].left == 2


def test_of_a_lease_that_is_over_nothing_is_kept() -> None:
    plan = lent(terms())
    assert plan.book.renew(1, [terms(add=0)], until_ns=3 * TERM, now_ns=TERM)
    assert plan.book.leases["l"].left == 0


steps = st.lists(st.tuples(st.integers(-SECOND, 3 * SECOND), st.integers(0, 7)), max_size=40)


@given(steps)
def test_it_never_has_more_than_a_bucket_that_is_filled_each_time(
    taken: list[tuple[int, int]],
) -> None:
    lease, now, latest, level = Lease(terms(), 0), 0, 0, 5 * SECOND
    for gap, wanted in taken:
        now += gap
        level = min(5 * SECOND, level + max(0, now - latest))
        latest = max(latest, now)
        lease.fill(now)
        assert lease.left * SECOND <= level
        used = min(wanted, lease.left)
        lease.left -= used
        level -= used * SECOND
