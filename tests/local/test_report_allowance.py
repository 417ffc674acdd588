from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from midstage.contracts.requests import Outcome
from midstage.local.replay.allowance import allowance, ideal
from midstage.local.replay.customers import CustomerLimit
from midstage.local.replay.listing import CallerRow

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIMIT = CustomerLimit(customer="c", app="chat", rate_per_s=2.0, burst=5, why="")

times = st.lists(st.floats(0, 60), min_size=1, max_size=200).map(sorted)


def at(start_s: float, status: int, *, took_ms: float = 50.0) -> CallerRow:
    outcome = {200: Outcome.OK, 429: Outcome.REFUSED}.get(status, Outcome.ERROR)
    return CallerRow(
        ref=f"r-{start_s}",
        customer="c",
        app="chat",
        status=status,
        outcome=outcome,
        usage={},
        estimated=False,
        streamed=False,
        duration_ms=took_ms,
        ttft_ms=None,
        late_ms=0.0,
        ended_at=NOON + timedelta(seconds=start_s, milliseconds=took_ms),
    )


def answered(starts: Sequence[float], *, rate: float, burst: int) -> list[CallerRow]:
    """What a bucket that begins full answers to requests at these times."""
    level, before, rows = float(burst), 0.0, []
    for start in starts:
        level, before = min(float(burst), level + (start - before) * rate), start
        rows.append(at(start, 200 if level >= 1 else 429))
        level -= level >= 1
    return rows


@given(times)
def test_an_exact_bucket_is_within_its_limit_and_close_to_it(starts: list[float]) -> None:
    kept = allowance(answered(starts, rate=2.0, burst=5), LIMIT)
    assert kept.within
    assert kept.close
    assert kept.least <= kept.admitted <= kept.allowed


def test_one_more_than_burst_and_rate_give_is_not_within() -> None:
    starts = [0.0] * 5 + [10.0] * 21
    assert allowance([at(start, 200) for start in starts[:-1]], LIMIT).within
    kept = allowance([at(start, 200) for start in starts], LIMIT)
    assert (kept.admitted, kept.within) == (26, False)
    assert kept.allowed == pytest.approx(5 + 2 * 10.05)


def test_a_throttle_that_refuses_too_much_is_not_close() -> None:
    starts = [number / 10 for number in range(300)]
    strict = answered(starts, rate=1.5, burst=5)
    assert (allowance(strict, LIMIT).within, allowance(strict, LIMIT).close) == (True, False)


def test_who_was_never_refused_is_close_however_little_it_asked() -> None:
    assert allowance([at(0, 200)], LIMIT).close


def test_answers_that_may_be_the_gateways_own_are_not_held_against_throttle() -> None:
    rows = [at(0, 200), *[at(0, 500)] * 10, *[at(0, 0)] * 10]
    kept = allowance(rows, LIMIT)
    assert (kept.admitted, kept.within) == (1, True)


def test_a_long_stream_does_not_lengthen_the_time_in_which_it_was_let_pass() -> None:
    long = [replace(at(0, 200, took_ms=60_000.0), ttft_ms=500.0) for _ in range(7)]
    kept = allowance(long, LIMIT)
    assert (kept.seconds, kept.allowed, kept.within) == (0.5, 6.0, False)


@given(times, st.floats(0.1, 50), st.integers(1, 50))
def test_an_ideal_bucket_never_exceeds_rate_times_time(
    starts: list[float], rate: float, burst: int
) -> None:
    admitted = ideal(starts, rate_per_s=rate, burst=burst)
    assert admitted <= rate * (starts[-1] - starts[0]) + 1e-6
    assert admitted <= len(starts)
