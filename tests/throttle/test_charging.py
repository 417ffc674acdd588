"""Several limits in one step: all of them or none; shadows, draining, and the failure rules."""

from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.throttle.decide.charging import admitted
from midstage.throttle.decide.failing import passed_in_failure, share
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.meters.window import FixedWindow, LifetimeQuota
from midstage.throttle.model.account import CLOSED, Account, FailureTerms, OnFailure, PlainAccount

MINUTE = 60 * 10**9
OPEN_TO_10 = FailureTerms(rule=OnFailure.OPEN_TO, most=10)


def quota(name: str, limit: int, *, shadow: bool = False, drain: bool = False) -> Account:
    return PlainAccount(name, LifetimeQuota(limit=limit), shadow=shadow, drain=drain)


def test_the_first_that_refuses_is_named_and_nobody_is_charged() -> None:
    rate, slots, month = quota("rate", 9), slot(), quota("month", 5)
    assert admitted((rate, slots, month), (1, 1, 6), 0, "a") is month
    assert left(rate, slots, month) == [9, 1, 5]
    assert admitted((rate, slots, month), (1, 1, 5), 0, "a") is None
    assert admitted((rate, slots, month), (1, 1, 0), 0, "b") is slots
    assert left(rate, slots, month) == [8, 0, 0]


def test_a_limit_met_twice_is_charged_twice_or_not_at_all() -> None:
    one = quota("one", 3)
    assert admitted((one, one), (2, 2), 0) is one
    assert left(one) == [3]
    assert admitted((one, one), (1, 2), 0) is None
    assert left(one) == [0]


def test_a_shadow_limit_refuses_nobody_and_takes_what_it_would_have_taken() -> None:
    shadow, real = quota("shadow", 1, shadow=True), quota("real", 2)
    assert admitted((shadow, real), (1, 1), 0) is None
    assert admitted((shadow, real), (1, 1), 0) is None
    assert shadow.would_refuse == 1
    assert admitted((shadow, real), (1, 1), 0) is real
    assert left(shadow, real) == [0, 0]


def test_what_a_shadow_limit_took_comes_back_where_a_real_one_refuses() -> None:
    first, shadow, real = quota("a", 5), quota("b", 0, shadow=True), quota("c", 0)
    last = quota("d", 5)
    assert admitted((first, shadow, last, real), (1, 1, 1, 1), 0) is real
    assert left(first, last) == [5, 5]


def test_a_limit_that_drains_is_empty_after_too_much_and_the_others_keep_theirs() -> None:
    rate, drained = quota("rate", 9), quota("drained", 5, drain=True)
    assert admitted((rate, drained), (1, 6), 0) is drained
    assert left(rate, drained) == [9, 0]


kinds = st.sampled_from(["bucket", "gcra", "window", "log", "quota", "slots"])
steps = st.lists(
    st.tuples(st.integers(-20, 60), st.lists(st.integers(0, 4), min_size=4, max_size=4)),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(names=st.lists(kinds, min_size=1, max_size=4), asked=steps)
def test_it_is_all_or_nothing_whatever_the_limits_are(
    names: list[str], asked: list[tuple[int, list[int]]]
) -> None:
    """What passes is charged to each as if it stood alone; what is refused to none."""
    together = [PlainAccount(name, meter(name)) for name in names]
    alone = [meter(name) for name in names]
    now = 1_000
    for number, (gap, units) in enumerate(asked):
        now = max(0, now + gap)
        fits = [each.remaining(now) >= wanted for each, wanted in zip(alone, units, strict=False)]
        wanted = [min(1, each) if n == "slots" else each for n, each in zip(names, units)]  # noqa: B905
        refused = admitted(together, wanted, now, f"request {number}")
        if refused is None:
            for each, charge in zip(alone, wanted, strict=True):
                assert each.take(charge, now, f"request {number}")
        else:
            assert not all(fits)
        for account, each in zip(together, alone, strict=True):
            assert account.meter.remaining(now) == each.remaining(now)


def meter(name: str) -> Meter:
    meters: dict[str, Meter] = {
        "bucket": TokenBucket(units=10**13, period_ns=10**15, burst=5, now_ns=0),
        "gcra": Gcra(units=3, period_ns=100, burst=5, now_ns=0),
        "window": FixedWindow(limit=5, period_ns=100, now_ns=0),
        "log": MovingWindow(limit=5, period_ns=100, now_ns=0),
        "quota": LifetimeQuota(limit=20),
        "slots": Slots(limit=3, ttl_ns=100, now_ns=0),
    }
    return meters[name]


def test_open_passes_and_takes_what_is_there_closed_refuses_and_takes_nothing() -> None:
    free = quota("free", 2)
    held = PlainAccount("held", LifetimeQuota(limit=5), on_failure=CLOSED)
    assert passed_in_failure((free,), (3,), 0, {}) is None
    assert passed_in_failure((quota("other", 5), held), (1, 1), 0, {}) is held
    assert left(free, held) == [0, 5]


def test_open_to_n_passes_n_over_all_replicas() -> None:
    total = 0
    for replica in range(4):
        own = LifetimeQuota(limit=share(10, replicas=4, replica=replica))
        account = PlainAccount("limit", LifetimeQuota(limit=10), on_failure=OPEN_TO_10)
        total += sum(
            passed_in_failure((account,), (1,), 0, {"limit": own}) is None for _ in range(20)
        )
    assert total == 10


def test_what_a_share_let_pass_comes_back_where_another_rule_refuses() -> None:
    own = LifetimeQuota(limit=3)
    shared = PlainAccount("shared", LifetimeQuota(limit=10), on_failure=OPEN_TO_10)
    held = PlainAccount("held", LifetimeQuota(limit=5), on_failure=CLOSED)
    assert passed_in_failure((shared, held), (1, 1), 0, {"shared": own}) is held
    assert own.remaining(0) == 3
    assert passed_in_failure((shared,), (1,), 0, {}) is shared


@given(most=st.integers(0, 1000), replicas=st.integers(1, 50))
def test_shares_add_up(most: int, replicas: int) -> None:
    shares = [share(most, replicas=replicas, replica=number) for number in range(replicas)]
    assert sum(shares) == most
    assert max(shares) - min(shares) <= 1


def slot() -> Account:
    return PlainAccount("slots", Slots(limit=1, ttl_ns=MINUTE, now_ns=0))


def left(*accounts: Account) -> list[int]:
    return [account.meter.remaining(0) for account in accounts]
