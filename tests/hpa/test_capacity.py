"""What is learned of a replica's capacity, at its edges: what counts, what fades, what is kept."""

import math
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from midstage.contracts.capacity import CapacityInput, CapacitySample, Latency, Learned, Level
from midstage.contracts.policy import Targets
from midstage.contracts.scaling import Inputs
from midstage.hpa.decide.capacity import capacity, enough, helped, learned, warming
from midstage.testkit.clock import NOON
from tests.hpa.engine import changed, inputs, policy, warm

TARGET = 500.0
"""The aim is 400 ms."""
UNTIL = NOON - timedelta(seconds=5)


def level(load: float, p99_ms: float = 200.0, weight: float = 20.0) -> Level:
    return Level(load=load, p99_ms=p99_ms, residence_s=0.1, weight=weight)


def sample(load: float = 5.0, p99_ms: float | None = 200.0, **known: Any) -> CapacitySample:
    """15 s of 4 replicas with so many requests/s each, that end now."""
    given = {
        "until": UNTIL,
        "seconds": 15,
        "requests": round(load * 4 * 15),
        "concurrency": load * 4 * 0.1,
        "p99_ms": p99_ms,
        **known,
    }
    return CapacitySample(**given)


def known(*levels: Level, one: CapacitySample | None = None, **rest: Any) -> Learned:
    """What is known after one sample more."""
    held = CapacityInput(samples=(one or sample(),), learned=Learned(p99=levels))
    of: Inputs = inputs(
        **{
            "policy": policy(targets=Targets(), latency=Latency(p99_ms=TARGET)),
            "pods": warm(4),
            "capacity": held,
            **rest,
        }
    )
    found = learned(of)
    assert found is not UNSET
    return found


def ready(*since_s: float) -> tuple[object, ...]:
    """Replicas that are ready since so many seconds before the end of the sample."""
    return tuple(
        msgspec.structs.replace(pod, name=f"p-{n}", ready_at=UNTIL - timedelta(seconds=each))
        for n, each in enumerate(since_s)
        for pod in warm(1)
    )


@pytest.mark.parametrize(("since_s", "starts"), [(60, False), (59.9, True)])
def test_a_replica_warms_for_a_minute(since_s: float, *, starts: bool) -> None:
    assert warming(inputs(pods=warm(2, since_s=since_s))) is starts
    assert warming(inputs(pods=warm(1, starting=1)))


@pytest.mark.parametrize(
    ("since_s", "load"),
    [
        ((45, 45), 10),  # warm from the first moment of the block on
        ((45, 44.9), None),
        ((45, 0.1), None),
        ((45, 0), 20),  # ready at its end: it had no part
        ((45, -3), 20),
    ],
)
def test_who_was_warm_all_the_time_did_it(since_s: tuple[float, ...], load: float | None) -> None:
    found = known(pods=ready(*since_s))
    assert [each.load for each in found.p99] == ([] if load is None else [load])
    assert found.until == UNTIL


@pytest.mark.parametrize(
    ("rest", "learns"),
    [
        ({}, True),
        ({"cluster_at": None}, False),
        ({"pods": ()}, False),
        ({"changes": (changed(49, 5, 4),)}, False),
        ({"changes": (changed(50, 5, 4),)}, True),
        ({"changes": (changed(9, 3, 4),)}, True),
        ({"changes": (changed(9, 4, 4),)}, True),
    ],
)
def test_what_is_not_known_teaches_nothing(rest: dict[str, Any], *, learns: bool) -> None:
    found = known(**rest)
    assert (bool(found.p99), found.until) == (learns, UNTIL)


@pytest.mark.parametrize(
    "odd",
    [
        sample(requests=0),
        sample(seconds=0),
        sample(p99_ms=None),
        sample(p99_ms=0.0),
        sample(p99_ms=math.inf),
        sample(p99_ms=math.nan),
    ],
)
def test_an_odd_sample_changes_no_level(odd: CapacitySample) -> None:
    assert known(level(9), one=odd).p99 == (level(9),)


def test_a_sample_weighs_by_its_requests_and_one_at_most() -> None:
    [few] = known(one=sample(requests=50)).p99
    [many] = known(one=sample(requests=101)).p99
    assert (few.weight, many.weight) == (0.5, 1.0)
    assert few.residence_s == 0.6  # 2 in flight for 15 s, by 50 of them


def test_what_is_known_weighs_forty_at_most_beside_a_sample() -> None:
    [found] = known(level(5, weight=100)).p99
    assert found.weight == 41
    [less] = known(level(5, weight=40)).p99
    assert less.weight == pytest.approx(40.996)


def test_a_level_is_the_mean_of_its_samples_by_weight() -> None:
    one = sample(5.0, 200.0, concurrency=8)  # 0.4 s each
    [found] = known(level(5.2, 400.0, weight=3.0003), one=one).p99
    assert found.residence_s == pytest.approx(0.175, rel=1e-4)
    assert found.weight == pytest.approx(4, rel=1e-4)
    assert found.load == pytest.approx(5.15, rel=1e-4)
    assert found.p99_ms == pytest.approx(320, rel=1e-4)  # of 1/P99


def test_loads_within_fifteen_percent_steps_are_one_level() -> None:
    assert len(known(level(1.0), one=sample(1.1)).p99) == 1
    assert len(known(level(1.0), one=sample(1.2)).p99) == 2


def test_what_is_hardly_believed_any_more_is_forgotten() -> None:
    found = known(level(2, weight=0.050005), level(20, weight=0.05), level(30, weight=0.5))
    assert [each.load for each in found.p99] == [2, 5, 30]
    assert found.p99[0].weight == 0.05


@pytest.mark.parametrize(
    ("held", "one", "doubted"),
    [
        (level(8, 200), sample(5, 401), True),  # fast at more, and now slow at less
        (level(8, 200), sample(5, 400), False),
        (level(2, 200), sample(5, 401), False),
        (level(2, 401), sample(5, 300), True),  # slow at less, and now fast at more
        (level(2, 400), sample(5, 300), False),
        (level(8, 401), sample(5, 300), False),
        (level(8, 401), sample(5, 401), False),
    ],
)
def test_what_contradicts_a_sample_is_doubted(
    held: Level, one: CapacitySample, *, doubted: bool
) -> None:
    [weight] = [each.weight for each in known(held, one=one).p99 if each.load == held.load]
    assert weight == pytest.approx(20 * 0.9999 * (0.9 if doubted else 1.0))


def test_twenty_levels_are_kept_and_the_newest_is_one() -> None:
    held = [level(6 * 1.2**n, weight=9.0 + n) for n in range(19)]
    assert len(known(*held).p99) == 20
    full = known(*held, level(1000.0, weight=5.0), one=sample(5.0, requests=60)).p99
    assert [each.load for each in full] == [1.0, *[each.load for each in held]]


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        ((), None),
        ((level(5, 401),), None),
        ((level(5, 400),), 5.0),
        ((level(5, 200),), 5.625),
        ((level(5, 200), level(7, math.nan)), 5.625),
        ((level(5, 200), level(7, 0.0)), 5.625),
        ((level(5, 200), level(10, 10_000)), 5 + 5 * 0.0025 / 0.0049),
        ((level(5, 400), level(10, 800)), 5.0),
        # what is faster at more is one with what is slower at less
        ((level(5, 800, 10.0), level(10, 200, 10.0)), 10 * (1 + 0.25 * 0.2)),
        ((level(5, 800, 30.0), level(10, 400, 10.0)), None),
    ],
)
def test_what_a_replica_carries_within_the_aim(
    levels: tuple[Level, ...], found: float | None
) -> None:
    carries = capacity(levels, TARGET)
    if found is None:
        assert carries is None
    else:
        assert carries is not None
        assert carries.load == pytest.approx(found)
        assert carries.residence_s == 0.1


def test_four_samples_are_enough() -> None:
    assert enough((level(5, weight=3.0), level(9, weight=1.0)))
    assert not enough((level(5, weight=3.9),))


def test_less_load_helped_where_it_was_faster_by_a_tenth() -> None:
    assert helped(())
    assert helped((level(10, 200), level(11.9, 200)))  # too near to tell
    assert not helped((level(10, 200), level(12, 200)))
    assert 1 / (1 / 1.1) == 1.1
    assert not helped((level(1, 1 / 1.1), level(9, 1.0)))
    assert helped((level(1, 0.9), level(9, 1.0)))
