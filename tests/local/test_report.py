"""The comparison of callers' list and ledger: what agrees, and each way in which it can't."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from midstage.contracts.requests import Outcome
from midstage.local.replay.compare import LedgerRow, compared
from midstage.local.replay.customers import NAMES, CustomerLimit, limits
from midstage.local.replay.findings import Found, Hole, PlatformFacts, Report
from midstage.local.replay.listing import CallerRow
from midstage.local.replay.report import as_json, as_text, exit_code, made

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
STATUS = {
    Outcome.OK: 200,
    Outcome.CANCELLED: 200,
    Outcome.REFUSED: 429,
    Outcome.INVALID: 400,
    Outcome.ERROR: 503,
}


def call(
    number: int, outcome: Outcome = Outcome.OK, *, customer: str = NAMES[0], tokens: int = 7
) -> CallerRow:
    delivered = outcome in (Outcome.OK, Outcome.CANCELLED)
    tokens_seen = {"requests": 1, "input_tokens": 5, "output_tokens": tokens}
    return CallerRow(
        ref=f"run-{number:07d}",
        customer=customer,
        app="chat",
        status=STATUS[outcome],
        outcome=outcome,
        usage=tokens_seen if delivered else {},
        estimated=outcome is Outcome.CANCELLED,
        streamed=True,
        duration_ms=100.0 + number,
        ttft_ms=10.0 if delivered else None,
        late_ms=0.0,
        ended_at=NOON + timedelta(seconds=number),
    )


def row(of: CallerRow, number: int = 1) -> LedgerRow:
    return LedgerRow(
        row=number,
        ref=of.ref,
        customer=of.customer,
        app=of.app,
        status=of.status,
        outcome=of.outcome,
        usage=of.usage,
        estimated=of.estimated,
        source="edges/edge-1/a",
        seq=number,
        time=of.ended_at,
        recorded_ms_after=300.0,
    )


def report(
    mine: Sequence[CallerRow], theirs: Sequence[LedgerRow], platform: PlatformFacts | None = None
) -> Report:
    return made(
        run="run", mine=mine, found=Found(rows=theirs), platform=platform or PlatformFacts()
    )


calls = st.lists(
    st.tuples(st.sampled_from(Outcome), st.sampled_from(NAMES), st.integers(1, 1000)),
    min_size=1,
    max_size=30,
).map(
    lambda drawn: [
        call(number, outcome, customer=customer, tokens=tokens)
        for number, (outcome, customer, tokens) in enumerate(drawn, 1)
    ]
)


def counts(of: Report) -> tuple[int, int, int]:
    return len(of.missing), len(of.duplicated), len(of.different)


@given(calls, st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_agree(mine: list[CallerRow], order: random.Random) -> None:
    theirs = [row(one, number) for number, one in enumerate(mine, 1)]
    order.shuffle(theirs)
    agreed = report(mine, theirs)
    assert counts(agreed) == (0, 0, 0)
    assert agreed.comparison.units.caller == agreed.comparison.units.ledger
    assert (agreed.offered, agreed.ledger, exit_code(agreed)) == (len(mine), len(mine), 0)
    ends = agreed.ends
    assert ends.answered + ends.refused + ends.failed + ends.cancelled == ends.offered
    assert sum(one.ends.offered for one in agreed.customers) == len(mine)
    assert sum(one.ends.ledger for one in agreed.customers) == len(mine)


@given(calls, st.data())
def test_a_dropped_row_is_missing(mine: list[CallerRow], data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(mine))
    found = report(mine, [row(one) for one in mine if one is not lost])
    assert counts(found) == (1, 0, 0)
    assert found.missing == (lost,)
    assert exit_code(found) == 1
    assert {one.name: len(one.comparison.missing) for one in found.customers}[lost.customer] == 1


@given(calls, st.data())
def test_a_row_twice_is_duplicated(mine: list[CallerRow], data: st.DataObject) -> None:
    twice = data.draw(st.sampled_from(mine))
    theirs = [row(one, number) for number, one in enumerate(mine, 1)]
    found = report(mine, [*theirs, row(twice, 1000)])
    assert counts(found) == (0, 1, 0)
    assert found.duplicated[0].ref == twice.ref
    assert found.duplicated[0].places[-1] == "edges/edge-1/a 1000"
    assert exit_code(found) == 1


@given(calls, st.data(), st.sampled_from(["customer", "app", "status", "outcome", "usage"]))
def test_a_changed_field_is_a_difference_of_that_field(
    mine: list[CallerRow], data: st.DataObject, field: str
) -> None:
    other = data.draw(st.sampled_from(mine))
    assume(not (field == "usage" and other.estimated))
    changed = {
        "customer": "somebody",
        "app": "code",
        "status": 418,
        "outcome": Outcome.OK if other.outcome is not Outcome.OK else Outcome.ERROR,
        "usage": {**other.usage, "requests": 2},
    }
    theirs = [row(one) for one in mine if one is not other]
    found = report(mine, [*theirs, replace(row(other), **{field: changed[field]})])
    assert counts(found) == (0, 0, 1)
    assert found.different[0].ref == other.ref
    assert list(found.different[0].fields) == [field]
    assert exit_code(found) == 1
    by_name = {one.name: len(one.comparison.different) for one in found.customers}
    assert by_name[other.customer] == 1


def test_a_row_of_this_run_that_the_caller_never_sent_is_a_difference() -> None:
    found = report([call(1)], [row(call(1)), row(call(2))])
    assert counts(found) == (0, 0, 1)
    assert found.different[0].fields == {"ref": ("never sent", "run-0000002")}


@pytest.mark.parametrize("name", ["requests", "input_tokens", "output_tokens"])
def test_a_unit_that_the_ledger_lacks_is_a_difference(name: str) -> None:
    less = {unit: amount for unit, amount in call(1).usage.items() if unit != name}
    assert counts(report([call(1)], [replace(row(call(1)), usage=less)])) == (0, 0, 1)


def test_units_are_numbers_whatever_their_form() -> None:
    same = {"requests": 1.0, "input_tokens": 5.0, "output_tokens": 7.0}
    assert counts(report([call(1)], [replace(row(call(1)), usage=same)])) == (0, 0, 0)


def test_estimates_are_summed_apart_and_not_compared() -> None:
    left = call(2, Outcome.CANCELLED, tokens=40)
    theirs = replace(row(left), usage={"requests": 1, "output_tokens": 43})
    found = compared([call(1), left], [row(call(1)), theirs])
    assert (found.missing, found.duplicated, found.different) == ((), (), ())
    assert found.estimated_rows == 1
    million = 1_000_000
    assert found.units.ledger["output_tokens"] == 7 * million
    assert found.estimated.caller["output_tokens"] == 40 * million
    assert found.estimated.ledger["output_tokens"] == 43 * million


def test_what_a_caller_that_left_counted_itself_is_not_held_against_exact_units() -> None:
    left = call(1, Outcome.CANCELLED, tokens=40)
    exact = replace(row(left), estimated=False, usage={"requests": 1, "output_tokens": 43})
    found = compared([left], [exact])
    assert (found.different, found.estimated_rows) == ((), 1)


def test_a_row_twice_that_is_not_the_same_is_a_difference_too() -> None:
    other = replace(row(call(1), 2), status=503)
    assert counts(report([call(1)], [row(call(1), 1), other])) == (0, 1, 1)


def test_units_of_what_is_not_billed_are_in_no_sum() -> None:
    failed = replace(call(1, Outcome.ERROR), usage={"output_tokens": 3})
    found = compared([failed], [row(failed)])
    assert found.different == ()
    assert (found.units.caller, found.units.ledger) == ({}, {})


def test_an_estimate_of_an_answer_that_ended_is_a_difference() -> None:
    """Or a gateway that marks every row as estimated would agree with everybody."""
    found = report([call(1)], [replace(row(call(1)), estimated=True, usage={})])
    assert list(found.different[0].fields) == ["estimated"]


def test_a_ledger_that_may_not_be_complete_does_not_agree() -> None:
    """A row that comes twice may still be on its way."""
    found = Found(rows=[row(call(1))], complete=False)
    unsure = made(run="run", mine=[call(1)], found=found, platform=PlatformFacts())
    assert counts(unsure) == (0, 0, 0)
    assert exit_code(unsure) == 1
    assert "not known to be complete" in as_text(unsure)


def test_who_is_admitted_above_the_limit_fails_the_replay() -> None:
    mine = [replace(call(n), ended_at=NOON, duration_ms=1.0, ttft_ms=1.0) for n in range(1, 12)]
    theirs = [row(one) for one in mine]
    limit = CustomerLimit(customer=NAMES[0], app="chat", rate_per_s=1.0, burst=10, why="")
    found = report(mine, theirs, PlatformFacts(limits=[limit]))
    assert counts(found) == (0, 0, 0)
    assert (found.over_limit, exit_code(found)) == ((NAMES[0],), 1)
    assert "above their limits: alder-bank" in as_text(found)
    excused = PlatformFacts(limits=[limit], failure_mode_allowed=1)
    assert exit_code(report(mine, theirs, excused)) == 0
    late = PlatformFacts(limits=[limit], late_open=1)
    assert exit_code(report(mine, theirs, late)) == 0
    restarted = PlatformFacts(limits=[limit], throttle_restarts=1)
    assert exit_code(report(mine, theirs, restarted)) == 0


def test_the_json_has_numbers_and_the_rows_behind_them() -> None:
    mine = [call(n, customer=NAMES[n % 3]) for n in range(1, 200)]
    theirs = [row(one) for one in mine[150:]]
    found = Found(
        rows=theirs,
        holes=(Hole(source="edges/edge-1/a", first=3, last=5),),
        complete=False,
        notes=("stood still",),
    )
    facts = PlatformFacts(
        limits=limits(app="chat", rate_per_s=20),
        restarts={"stats": 1},
        peak_rss_mb=99.96,
    )
    whole = made(run="run", mine=mine, found=found, platform=facts)
    told = json.loads(as_json(whole))
    names = ("offered", "answered", "ledger", "missing", "duplicated", "different", "holes")
    assert [told[name] for name in names] == [199, 199, 49, 150, 0, 0, 3]
    assert len(told["details"]["missing"]) == 100
    assert told["details"]["missing"][0]["ref"] == "run-0000001"
    assert told["units"]["output_tokens"] == {"caller": 199 * 7, "ledger": 49 * 7}
    assert told["freshness_ms"] == {"p50": 300.0, "p99": 300.0}
    assert told["latency_ms"]["p50"] == 200.0
    assert (told["restarts"], told["replica_seconds"]) == ({"stats": 1}, None)
    assert "invented" in told["customers_are"]
    assert set(told["customers"]) == set(NAMES)
    first = told["customers"][NAMES[1]]
    assert first["offered"] == first["answered"] == 67
    assert first["limit"]["admitted"] == 67
    assert told["customers"][NAMES[5]]["limit"] is None
    assert (told["complete"], told["notes"], told["agrees"]) == (False, ["stood still"], False)


def test_the_screen_says_the_numbers_and_names_the_first_rows() -> None:
    broken = replace(call(2), status=503, outcome=Outcome.ERROR, usage={}, reason="[gone]")
    mine = [call(1), broken, call(3)]
    theirs = [row(call(1), 1), row(call(1), 9), replace(row(call(3)), customer="x")]
    text = as_text(report(mine, theirs))
    assert "missing 1, duplicated 1, different 1" in text
    assert "missing run-0000002 of alder-bank: error 503 [gone]" in text
    assert "duplicated run-0000001 of alder-bank: edges/edge-1/a 1, edges/edge-1/a 9" in text
    assert "different run-0000003 of alder-bank: customer alder-bank ≠ x" in text
    assert "The customers and their shares are invented" in text
    assert "They do NOT agree: 1 missing, 1 duplicated, 1 different." in text
    assert "Callers and ledger agree" in as_text(report([call(1)], [row(call(1))]))


def test_a_replay_of_nothing_is_shown_too() -> None:
    empty = report([], [])
    assert json.loads(as_json(empty))["latency_ms"] == {"p50": None, "p99": None}
    assert "offered 0" in as_text(empty)
