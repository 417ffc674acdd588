"""A bucket never gives more than burst + rate x time, and hardly less where it is asked enough."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from midstage.throttle.decide.meters.bucket import TokenBucket

SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many in a period, and at most a burst at once."""

    units: int = 1
    period_ns: int = SECOND
    burst: int = 10

    def bucket(self, now_ns: int) -> TokenBucket:
        return TokenBucket(
            units=self.units, period_ns=self.period_ns, burst=self.burst, now_ns=now_ns
        )

    def allowed(self, window_ns: int) -> Fraction:
        return self.burst + Fraction(self.units * window_ns, self.period_ns)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    admitted: bool
    remaining: int
    wait_ns: int | None


def limited(*, units: int = 1, burst: int = 10) -> Limit:
    return Limit(units=units, burst=burst)


limits = st.builds(
    Limit,
    units=st.integers(1, 10**12),
    period_ns=st.integers(1, 10**18),
    burst=st.integers(1, 1_000_000),
)
small_limits = st.builds(
    Limit,
    units=st.integers(1, 100),
    period_ns=st.integers(10**6, 10**12),
    burst=st.integers(1, 20),
)
gaps = st.one_of(
    st.integers(0, 1000), st.integers(0, 10 * SECOND), st.integers(0, 10**6 * SECOND), st.just(0)
)
calls = st.lists(st.tuples(gaps, st.integers(1, 30)), min_size=1, max_size=40)


@given(limit=st.one_of(limits, small_limits), asked=calls)
def test_no_window_admits_more_than_burst_and_rate(
    limit: Limit, asked: list[tuple[int, int]]
) -> None:
    times = list(accumulate(gap for gap, _ in asked))
    admitted = admissions(limit, times, [hits for _, hits in asked])

    for first in range(len(times)):
        for last in range(first, len(times)):
            window_ns = times[last] - times[first]
            total = sum(admitted[first : last + 1])
            assert total <= limit.allowed(window_ns)


@given(limit=small_limits, asked=calls)
def test_a_refused_call_takes_nothing(limit: Limit, asked: list[tuple[int, int]]) -> None:
    times = list(accumulate(gap for gap, _ in asked))
    bucket, patient = limit.bucket(0), limit.bucket(0)
    for at, (_, hits) in zip(times, asked, strict=True):
        bucket, verdict = take(bucket, limit, hits=hits, now_ns=at)
        if verdict.admitted:
            patient, same = take(patient, limit, hits=hits, now_ns=at)
            assert same == verdict


@given(limit=small_limits, times=st.lists(st.integers(0, 100 * SECOND), min_size=1, max_size=60))
def test_each_call_is_judged_as_by_exact_fractions(limit: Limit, times: list[int]) -> None:
    bucket = limit.bucket(0)
    tokens, before = Fraction(limit.burst), 0
    for at in sorted(times):
        rate = Fraction(limit.units, limit.period_ns)
        tokens = min(Fraction(limit.burst), tokens + rate * (at - before))
        before = at
        bucket, verdict = take(bucket, limit, hits=1, now_ns=at)
        assert verdict.admitted == (tokens >= 1)
        tokens -= verdict.admitted
        assert verdict.remaining == tokens // 1


@given(rate=st.integers(1, 200), burst=st.integers(2, 50), seconds=st.integers(1, 10))
def test_who_always_wants_more_gets_all_but_a_token_of_it(
    rate: int, burst: int, seconds: int
) -> None:
    limit = limited(units=rate, burst=burst)
    twice_the_rate = range(0, seconds * SECOND + 1, SECOND // (rate * 2))
    times = [0] * burst + list(twice_the_rate)

    admitted = sum(admissions(limit, times, [1] * len(times)))

    allowed = burst + rate * seconds
    assert allowed - 1 <= admitted <= allowed


@given(limit=small_limits, asked=calls)
def test_who_waits_as_told_passes_and_a_moment_earlier_does_not(
    limit: Limit, asked: list[tuple[int, int]]
) -> None:
    bucket, at = limit.bucket(0), 0
    for gap, hits in asked:
        at += gap
        bucket, verdict = take(bucket, limit, hits=hits, now_ns=at)
        if verdict.admitted or hits > limit.burst:
            continue
        assert verdict.wait_ns is not None
        _, then = take(bucket, limit, hits=hits, now_ns=at + verdict.wait_ns)
        _, too_soon = take(bucket, limit, hits=hits, now_ns=at + verdict.wait_ns - 1)
        assert then.admitted
        assert not too_soon.admitted


def test_more_than_a_burst_at_once_never_passes() -> None:
    limit = limited(burst=10)
    _, verdict = take(limit.bucket(0), limit, hits=11, now_ns=0)
    assert not verdict.admitted
    assert verdict.remaining == 10


def test_a_clock_that_goes_back_fills_nothing() -> None:
    limit = limited(burst=2)
    bucket, _ = take(limit.bucket(10 * SECOND), limit, hits=2, now_ns=10 * SECOND)
    bucket, back = take(bucket, limit, hits=1, now_ns=5 * SECOND)
    _, still = take(bucket, limit, hits=1, now_ns=10 * SECOND + SECOND // 2)
    assert not back.admitted
    assert not still.admitted


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    limit = limited(burst=2)
    _, verdict = take(limit.bucket(10 * SECOND), limit, hits=2, now_ns=5 * SECOND)
    assert verdict.admitted


def test_a_smaller_burst_bounds_what_is_there() -> None:
    wide, narrow = limited(burst=100), limited(burst=3)
    bucket, _ = take(wide.bucket(0), wide, hits=1, now_ns=0)
    _, verdict = take(bucket, narrow, hits=1, now_ns=0)
    assert verdict.remaining == 2


def test_a_larger_burst_does_not_fill_a_bucket_by_itself() -> None:
    narrow, wide = limited(burst=3), limited(burst=100)
    bucket, _ = take(narrow.bucket(0), narrow, hits=3, now_ns=0)
    _, verdict = take(bucket, wide, hits=1, now_ns=0)
    assert not verdict.admitted


changes = st.lists(st.tuples(gaps, st.integers(1, 30), small_limits), min_size=1, max_size=30)


@given(asked=changes)
def test_changing_limits_never_admit_more_than_the_widest_of_them(
    asked: list[tuple[int, int, Limit]],
) -> None:
    burst = max(limit.burst for *_, limit in asked)
    fastest = max(Fraction(limit.units, limit.period_ns) for *_, limit in asked)
    bucket, at, total = asked[0][2].bucket(0), 0, 0
    for gap, hits, limit in asked:
        at += gap
        bucket, verdict = take(bucket, limit, hits=hits, now_ns=at)
        total += hits if verdict.admitted else 0
        assert total <= burst + fastest * at


def test_a_raised_rate_counts_from_the_change_on() -> None:
    slow, fast = Limit(period_ns=10**15), Limit(period_ns=SECOND)
    bucket, _ = take(slow.bucket(0), slow, hits=10, now_ns=0)
    bucket, at_once = take(bucket, fast, hits=1, now_ns=5 * SECOND)
    _, a_second_later = take(bucket, fast, hits=1, now_ns=6 * SECOND)
    assert not at_once.admitted
    assert a_second_later.admitted


def admissions(limit: Limit, times: Sequence[int], hits: Sequence[int]) -> list[int]:
    """Tokens given at each time."""
    bucket = limit.bucket(times[0])
    return [
        wanted if bucket.take(wanted, at) else 0 for at, wanted in zip(times, hits, strict=True)
    ]


def take(
    bucket: TokenBucket, limit: Limit, *, hits: int, now_ns: int
) -> tuple[TokenBucket, Verdict]:
    """The bucket after it, so that a story can go on in two ways."""
    after = copy.copy(bucket)
    after.follow(units=limit.units, period_ns=limit.period_ns, burst=limit.burst, now_ns=now_ns)
    admitted = after.take(hits, now_ns)
    return after, Verdict(
        admitted=admitted,
        remaining=after.remaining(now_ns),
        wait_ns=after.wait_ns(hits, now_ns),
    )
