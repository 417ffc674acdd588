"""The circuit breaker: when it opens, what it lets through, and how it closes again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.limits.circuit import Breaker, BreakerTerms, By, Circuit

SECOND = 10**9


def breaker(*, by: By = By.COUNT, window: int = 4, least_calls: int = 4) -> Breaker:
    return Breaker(
        BreakerTerms(by=by, window=window, least_calls=least_calls, probes=2, open_ns=60 * SECOND)
    )


def calls(circuit: Breaker, outcomes: str, at: int = 0) -> Circuit:
    for outcome in outcomes:
        ticket = circuit.allows(at)
        assert ticket is not None
        circuit.ended(ticket, at, failed=outcome == "F")
    return circuit.state(at)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("FFF", Circuit.CLOSED),
        ("FFFF", Circuit.OPEN),
        ("SSFF", Circuit.OPEN),
        ("SSSF", Circuit.CLOSED),
    ],
)
def test_it_opens_at_the_threshold_and_not_before_enough_calls(
    outcomes: str, state: Circuit
) -> None:
    assert calls(breaker(), outcomes) is state


def test_only_the_last_calls_count() -> None:
    circuit = breaker(window=4)
    assert calls(circuit, "FSSSSSSF") is Circuit.CLOSED
    assert calls(circuit, "F") is Circuit.OPEN


def test_open_passes_nothing_until_its_time_is_over_then_some_probes() -> None:
    circuit = breaker()
    calls(circuit, "FFFF")
    assert circuit.allows(60 * SECOND - 1) is None
    assert circuit.state(60 * SECOND) is Circuit.HALF_OPEN
    probes = [circuit.allows(60 * SECOND) for _ in range(3)]
    assert [probe is not None for probe in probes] == [True, True, False]


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [("SS", Circuit.CLOSED), ("SF", Circuit.OPEN), ("FF", Circuit.OPEN), ("F", Circuit.HALF_OPEN)],
)
def test_its_probes_decide_when_all_have_ended(outcomes: str, state: Circuit) -> None:
    circuit = breaker()
    calls(circuit, "FFFF")
    assert calls(circuit, outcomes, at=60 * SECOND) is state


def test_by_time_old_calls_count_no_more() -> None:
    circuit = breaker(by=By.TIME, window=10 * SECOND, least_calls=2)
    assert calls(circuit, "F", at=0) is Circuit.CLOSED
    assert calls(circuit, "F", at=10 * SECOND) is Circuit.CLOSED
    assert calls(circuit, "F", at=20 * SECOND - 1) is Circuit.OPEN


def test_a_call_that_began_in_another_state_counts_for_nothing() -> None:
    circuit = breaker()
    late = circuit.allows(0)
    assert late is not None
    calls(circuit, "FFFF")
    circuit.ended(late, 60 * SECOND, failed=True)
    assert circuit.state(60 * SECOND) is Circuit.HALF_OPEN
    assert calls(circuit, "SS", at=60 * SECOND) is Circuit.CLOSED


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(-30, 30)), max_size=60))
def test_while_it_is_open_no_call_passes_whatever_the_clock_does(
    told: list[tuple[bool, int]],
) -> None:
    circuit, now, latest, opened = breaker(), 100 * SECOND, 0, None
    for failed, gap in told:
        now += gap * SECOND
        latest = max(latest, now)
        ticket = circuit.allows(now)
        if opened is not None and latest < opened + 60 * SECOND:
            assert ticket is None
        if ticket is not None:
            circuit.ended(ticket, now, failed=failed)
            opened = latest if circuit.state(now) is Circuit.OPEN else None
