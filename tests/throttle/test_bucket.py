"""A bucket never gives more than burst + rate x time, and hardly less where it is asked enough."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.limits import FailureRule, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.decide import limits as deciding
from midstage.throttle.decide.limits import Bucket
from midstage.throttle.decide.meters.bucket import TOKEN
from midstage.throttle.model.limits import Limit, Verdict, limit_of, micros_per_s

SECOND = 1_000_000_000


def limited(*, rate_micros: int = 1_000_000, burst: int = 10, rule: str = "open") -> Limit:
    return Limit(
        name="acme-chat",
        customer="acme",
        app="chat",
        rate_micros=rate_micros,
        burst=burst,
        on_failure=FailureRule(rule),
    )


limits = st.builds(
    limited,
    rate_micros=st.integers(1, 10**12),
    burst=st.integers(1, 1_000_000),
    rule=st.sampled_from(["open", "closed"]),
)
small_limits = st.builds(limited, rate_micros=st.integers(1, 10**8), burst=st.integers(1, 20))
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
            assert total * TOKEN <= limit.burst * TOKEN + limit.rate_micros * window_ns


@given(limit=small_limits, asked=calls)
def test_a_refused_call_takes_nothing(limit: Limit, asked: list[tuple[int, int]]) -> None:
    times = list(accumulate(gap for gap, _ in asked))
    bucket, patient = Bucket(limit, 0), Bucket(limit, 0)
    for at, (_, hits) in zip(times, asked, strict=True):
        bucket, verdict = take(bucket, limit, hits=hits, now_ns=at)
        if verdict.admitted:
            patient, same = take(patient, limit, hits=hits, now_ns=at)
            assert same == verdict


@given(limit=small_limits, times=st.lists(st.integers(0, 100 * SECOND), min_size=1, max_size=60))
def test_each_call_is_judged_as_by_exact_fractions(limit: Limit, times: list[int]) -> None:
    bucket = Bucket(limit, 0)
    tokens, before = Fraction(limit.burst), 0
    for at in sorted(times):
        rate = Fraction(limit.rate_micros, 1_000_000)
        tokens = min(Fraction(limit.burst), tokens + rate * Fraction(at - before, SECOND))
        before = at
        bucket, verdict = take(bucket, limit, hits=1, now_ns=at)
        assert verdict.admitted == (tokens >= 1)
        tokens -= verdict.admitted
        assert verdict.remaining == tokens // 1


@given(rate=st.integers(1, 200), burst=st.integers(2, 50), seconds=st.integers(1, 10))
def test_who_always_wants_more_gets_all_but_a_token_of_it(
    rate: int, burst: int, seconds: int
) -> None:
    limit = limited(rate_micros=rate * 1_000_000, burst=burst)
    twice_the_rate = range(0, seconds * SECOND + 1, SECOND // (rate * 2))
    times = [0] * burst + list(twice_the_rate)

    admitted = sum(admissions(limit, times, [1] * len(times)))

    allowed = burst + rate * seconds
    assert allowed - 1 <= admitted <= allowed


@given(limit=small_limits, asked=calls)
def test_who_waits_as_told_passes_and_a_moment_earlier_does_not(
    limit: Limit, asked: list[tuple[int, int]]
) -> None:
    bucket, at = Bucket(limit, 0), 0
    for gap, hits in asked:
        at += gap
        bucket, verdict = take(bucket, limit, hits=hits, now_ns=at)
        if verdict.admitted or hits > limit.burst:
            continue
        _, then = take(bucket, limit, hits=hits, now_ns=at + verdict.wait_ns)
        _, too_soon = take(bucket, limit, hits=hits, now_ns=at + verdict.wait_ns - 1)
        assert then.admitted
        assert not too_soon.admitted


def test_more_than_a_burst_at_once_never_passes() -> None:
    limit = limited(burst=10)
    _, verdict = take(Bucket(limit, 0), limit, hits=11, now_ns=0)
    assert not verdict.admitted
    assert verdict.remaining == 10


def test_a_clock_that_goes_back_fills_nothing() -> None:
    limit = limited(burst=2)
    bucket, _ = take(Bucket(limit, 10 * SECOND), limit, hits=2, now_ns=10 * SECOND)
    bucket, back = take(bucket, limit, hits=1, now_ns=5 * SECOND)
    _, still = take(bucket, limit, hits=1, now_ns=10 * SECOND + SECOND // 2)
    assert not back.admitted
    assert not still.admitted


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    limit = limited(burst=2)
    _, verdict = take(Bucket(limit, 10 * SECOND), limit, hits=2, now_ns=5 * SECOND)
    assert verdict.admitted


def test_a_rate_below_a_millionth_is_never_nothing() -> None:
    """Such a fact is none of the API's, but stands in the log where somebody wrote it."""
    fact = LimitSet(limit="slow", customer="a", app="b", rate_per_s=1e-9, burst=1, at=NOON)
    assert limit_of(fact).rate_micros == 1


def test_a_smaller_burst_bounds_what_is_there() -> None:
    wide, narrow = limited(burst=100), limited(burst=3)
    bucket, _ = take(Bucket(wide, 0), wide, hits=1, now_ns=0)
    _, verdict = take(bucket, narrow, hits=1, now_ns=0)
    assert verdict.remaining == 2


def test_a_larger_burst_does_not_fill_a_bucket_by_itself() -> None:
    narrow, wide = limited(burst=3), limited(burst=100)
    bucket, _ = take(Bucket(narrow, 0), narrow, hits=3, now_ns=0)
    _, verdict = take(bucket, wide, hits=1, now_ns=0)
    assert not verdict.admitted


changes = st.lists(st.tuples(gaps, st.integers(1, 30), small_limits), min_size=1, max_size=30)


@given(asked=changes)
def test_changing_limits_never_admit_more_than_the_widest_of_them(
    asked: list[tuple[int, int, Limit]],
) -> None:
    widest = limited(
        rate_micros=max(limit.rate_micros for *_, limit in asked),
        burst=max(limit.burst for *_, limit in asked),
    )
    bucket, at, total = Bucket(asked[0][2], 0), 0, 0
    for gap, hits, limit in asked:
        at += gap
        bucket, verdict = take(bucket, limit, hits=hits, now_ns=at)
        total += hits if verdict.admitted else 0
        assert total * TOKEN <= widest.burst * TOKEN + widest.rate_micros * at


def test_a_raised_rate_counts_from_the_change_on() -> None:
    slow, fast = limited(rate_micros=1), limited(rate_micros=1_000_000)
    bucket, _ = take(Bucket(slow, 0), slow, hits=10, now_ns=0)
    bucket, at_once = take(bucket, fast, hits=1, now_ns=5 * SECOND)
    _, a_second_later = take(bucket, fast, hits=1, now_ns=6 * SECOND)
    assert not at_once.admitted
    assert a_second_later.admitted


def test_late_and_open_passes_and_takes_what_is_there() -> None:
    limit = limited(burst=2, rule="open")
    bucket, first = take_late(Bucket(limit, 0), limit, hits=1, now_ns=0)
    bucket, second = take_late(bucket, limit, hits=5, now_ns=0)
    bucket, third = take_late(bucket, limit, hits=1, now_ns=0)
    assert [first.admitted, second.admitted, third.admitted] == [True, True, True]
    assert bucket.tokens.level == 0
    assert not take(bucket, limit, hits=1, now_ns=0)[1].admitted


def test_late_and_closed_is_refused_and_takes_nothing() -> None:
    limit = limited(burst=2, rule="closed")
    bucket, verdict = take_late(Bucket(limit, 0), limit, hits=1, now_ns=0)
    assert not verdict.admitted
    assert bucket.tokens.level == limit.burst * TOKEN


@given(st.integers(1, 10**12))
def test_a_rate_of_six_decimals_is_kept_exactly(micros: int) -> None:
    assert micros_per_s(micros / 1_000_000) == micros


def admissions(limit: Limit, times: Sequence[int], hits: Sequence[int]) -> list[int]:
    """Tokens given at each time."""
    bucket = Bucket(limit, times[0])
    return [
        wanted if deciding.take(bucket, hits=wanted, now_ns=at).admitted else 0
        for at, wanted in zip(times, hits, strict=True)
    ]


def take(bucket: Bucket, limit: Limit, *, hits: int, now_ns: int) -> tuple[Bucket, Verdict]:
    """The bucket after it, so that a story can go on in two ways."""
    after = under(bucket, limit, now_ns)
    return after, deciding.take(after, hits=hits, now_ns=now_ns)


def take_late(bucket: Bucket, limit: Limit, *, hits: int, now_ns: int) -> tuple[Bucket, Verdict]:
    after = under(bucket, limit, now_ns)
    return after, deciding.take_late(after, hits=hits, now_ns=now_ns)


def under(bucket: Bucket, limit: Limit, now_ns: int) -> Bucket:
    """A copy of the bucket, held by ``limit``."""
    copy = Bucket(bucket.limit, bucket.tokens.at_ns)
    copy.tokens.level = bucket.tokens.level
    copy.follow(limit, now_ns)
    return copy
