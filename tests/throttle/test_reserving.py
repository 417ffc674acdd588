"""A request reserves an estimate and settles what it was: once, in whatever order it is told."""

from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.meters.window import LifetimeQuota
from midstage.throttle.decide.reserving import Reservations
from midstage.throttle.model.account import Account, PlainAccount

SECOND = 10**9
TTL = 60 * SECOND


def book(remember_s: int = 3_600) -> Reservations[Account]:
    return Reservations(ttl_ns=TTL, remember_ns=remember_s * SECOND)


def quota(limit: int = 100, debt: int = 100) -> Account:
    return PlainAccount("quota", LifetimeQuota(limit=limit), debt=debt)


def test_less_comes_back_and_more_is_debt_that_blocks_until_it_is_paid() -> None:
    bucket = PlainAccount(
        "bucket", TokenBucket(units=10**7, period_ns=10**15, burst=100, now_ns=0), debt=100
    )
    calls = book()
    assert calls.reserve("a", [bucket], [50], 0) is None
    calls.settle("a", [bucket], [20], 0)
    assert bucket.meter.remaining(0) == 80
    assert calls.reserve("b", [bucket], [80], 0) is None
    calls.settle("b", [bucket], [110], 0)
    assert bucket.meter.remaining(0) == -30
    assert calls.reserve("c", [bucket], [1], SECOND) is bucket
    assert calls.reserve("c", [bucket], [10], 4 * SECOND) is None


def test_calls_in_flight_together_can_not_pass_on_one_balance() -> None:
    account, calls = quota(), book()
    wanted = {"a": 58, "b": 80, "c": 175, "d": 42, "e": 1}
    passed = [
        name for name, units in wanted.items() if calls.reserve(name, [account], [units], 0) is None
    ]
    assert passed == ["a", "d"]


def test_a_settlement_told_twice_charges_once_and_so_does_a_reservation() -> None:
    account, calls = quota(), book()
    for _ in range(3):
        assert calls.reserve("a", [account], [10], 0) is None
    assert account.meter.remaining(0) == 90
    for _ in range(3):
        calls.settle("a", [account], [8], 0)
    assert account.meter.remaining(0) == 92


def test_a_settlement_before_its_reservation_leaves_nothing_to_reserve() -> None:
    account, calls = quota(), book()
    calls.settle("a", [account], [8], 0)
    assert calls.reserve("a", [account], [10], 0) is None
    assert account.meter.remaining(0) == 92
    assert len(calls) == 0


def test_what_is_never_settled_comes_back_and_is_charged_in_full_if_it_comes_yet() -> None:
    account, calls = quota(), book()
    assert calls.reserve("a", [account], [100], 0) is None
    assert calls.reserve("b", [account], [1], TTL - 1) is account
    calls.expire(TTL)
    assert account.meter.remaining(TTL) == 100
    calls.settle("a", [account], [30], TTL)
    assert account.meter.remaining(TTL) == 70


def test_who_is_paid_for_afterwards_needs_something_to_be_left() -> None:
    account, calls = quota(limit=1000), book()
    served = 0
    while calls.reserve(f"call {served}", [account], [0], 0) is None:
        calls.settle(f"call {served}", [account], [30], 0)
        served += 30
    assert served == 1020


def test_a_refused_reservation_takes_nothing_of_any_limit() -> None:
    requests, calls = quota(limit=2), book()
    slots = PlainAccount("slots", Slots(limit=1, ttl_ns=TTL, now_ns=0))
    assert calls.reserve("a", [requests, slots], [1, 1], 0) is None
    assert calls.reserve("b", [requests, slots], [1, 1], 0) is slots
    calls.settle("a", [requests, slots], [1, 1], 0)
    assert calls.reserve("c", [requests, slots], [1, 1], 0) is None
    assert requests.meter.remaining(0) == 0


def test_debt_is_bounded() -> None:
    account, calls = quota(limit=10, debt=5), book()
    calls.settle("a", [account], [1000], 0)
    assert account.meter.remaining(0) == -5


def test_an_id_is_forgotten_after_a_while() -> None:
    account, calls = quota(), book(remember_s=10)
    calls.settle("a", [account], [1], 0)
    calls.settle("a", [account], [1], 10 * SECOND - 1)
    assert account.meter.remaining(0) == 99
    calls.settle("a", [account], [1], 10 * SECOND)
    assert account.meter.remaining(0) == 98


events = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "settle"]),
        st.integers(0, 5),
        st.integers(0, 30),
        st.integers(-10, 10),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=100)
@given(told=events)
def test_each_request_is_charged_once_in_whatever_order_it_is_told(
    told: list[tuple[str, int, int, int]],
) -> None:
    """What is used is the first settlement of each, and the estimates that are still open."""
    account, calls = quota(limit=10_000, debt=10_000), book()
    settled: dict[int, int] = {}
    reserved: dict[int, int] = {}
    now = 100
    for kind, request, units, gap in told:
        now += gap
        if kind == "reserve":
            assert calls.reserve(str(request), [account], [units], now) is None
            if request not in settled:
                reserved.setdefault(request, units)
        else:
            calls.settle(str(request), [account], [units], now)
            settled.setdefault(request, units)
            reserved.pop(request, None)
        used = sum(settled.values()) + sum(reserved.values())
        assert account.meter.remaining(now) == 10_000 - used


@settings(deadline=None, max_examples=60)
@given(told=events)
def test_a_bucket_is_never_above_its_rim_nor_below_its_debt(
    told: list[tuple[str, int, int, int]],
) -> None:
    tokens = TokenBucket(units=10**15, period_ns=10**15, burst=40, now_ns=0)
    account, calls, now = PlainAccount("bucket", tokens, debt=15), book(), 100
    for kind, request, units, gap in told:
        now += gap
        if kind == "reserve":
            calls.reserve(str(request), [account], [units], now)
        else:
            calls.settle(str(request), [account], [units], now)
        assert -15 <= tokens.remaining(now) <= 40
