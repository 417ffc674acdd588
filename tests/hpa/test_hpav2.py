"""HPA v2's arithmetic at its edges: each window, rate, bound and group to the last second and pod.

What the Go sources of ``pkg/controller/podautoscaler`` say, in tables.
"""

from functools import partial

import pytest

from midstage.contracts.autoscaling import By, Select
from midstage.hpa.decide.hpav2.behavior import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Behavior,
    Change,
    Condition,
    Rate,
    Recommendation,
    Rules,
    changed_within,
    happened,
    held,
    limited,
    remembered,
    stabilized,
)
from midstage.hpa.decide.hpav2.pods import Phase, Pod, Readiness, grouped

WITHIN, FEW, MANY = Condition.WITHIN, Condition.TOO_FEW, Condition.TOO_MANY
UP, DOWN = Condition.UP_LIMIT, Condition.DOWN_LIMIT
FOUR_PODS = Rate(by=By.PODS, value=4, period_s=60)
HALF = Rate(by=By.PERCENT, value=50, period_s=30)


def want(replicas: int, age_s: float) -> Recommendation:
    return Recommendation(replicas=replicas, age_s=age_s)


def change(by: int, age_s: float) -> Change:
    return Change(change=by, age_s=age_s)


def test_what_nobody_says_is_what_the_controller_has() -> None:
    four, all_up = DEFAULT_UP.rates
    [all_down] = DEFAULT_DOWN.rates
    assert (four.by, four.value, four.period_s) == (By.PODS, 4, 15)
    assert (all_up.by, all_up.value, all_up.period_s) == (By.PERCENT, 100, 15)
    assert (all_down.by, all_down.value, all_down.period_s) == (By.PERCENT, 100, 15)
    assert (DEFAULT_UP.stabilization_s, DEFAULT_DOWN.stabilization_s) == (0, 300)
    said = Rules(rates=())
    assert (said.select, said.stabilization_s, said.longest_s) == (Select.MAX, 0, 0)
    assert Rules(rates=(FOUR_PODS, HALF)).longest_s == 60
    assert Readiness() == Readiness(initialization_s=300, delay_s=30)
    assert not change(1, 0).outdated


@pytest.mark.parametrize(
    ("wanted", "current", "earlier", "count"),
    [
        (9, 5, (), 9),
        (9, 5, (want(6, 9.9),), 6),
        (9, 5, (want(6, 10),), 9),
        (9, 5, (want(6, 1), want(7, 2)), 6),
        (9, 5, (want(2, 1),), 5),
        (2, 5, (), 2),
        (2, 5, (want(4, 19.9),), 4),
        (2, 5, (want(4, 20),), 2),
        (2, 5, (want(4, 11), want(3, 12)), 4),
        (2, 5, (want(8, 1),), 5),
    ],
)
def test_the_up_window_is_10_s_and_the_down_one_20(
    wanted: int, current: int, earlier: tuple[Recommendation, ...], count: int
) -> None:
    assert stabilized(wanted, current=current, earlier=earlier, up_s=10, down_s=20) == count


def test_without_a_behavior_the_last_second_of_the_window_is_in_it() -> None:
    assert held(2, earlier=(want(4, 300), want(3, 1)), down_s=300) == 4
    assert held(2, earlier=(want(4, 300.1),), down_s=300) == 2
    assert held(2, earlier=(want(1, 1),), down_s=300) == 2


def test_a_new_want_takes_the_place_of_the_last_old_one() -> None:
    old, older, young, edge = want(1, 301), want(2, 900), want(3, 5), want(4, 300)
    new = want(9, 0)
    assert remembered(9, (old, older, young), longest_s=300) == [old, new, young]
    assert remembered(9, (young, old), longest_s=300) == [young, new]
    assert remembered(9, (young, edge), longest_s=300) == [young, edge, new]


def test_a_new_change_takes_the_place_of_the_last_outdated_one() -> None:
    young, edge, old = change(1, 5), change(2, 60), change(3, 61)
    outdated = Change(change=3, age_s=61, outdated=True)
    was = Change(change=4, age_s=1, outdated=True)
    assert happened(9, (young, edge), longest_s=60) == [young, edge, change(9, 0)]
    assert happened(9, (old, young), longest_s=60) == [change(9, 0), young]
    assert happened(9, (old, was, young), longest_s=60) == [outdated, change(9, 0), young]


def test_a_change_of_just_the_period_ago_is_over() -> None:
    assert changed_within(60, (change(1, 59.9), change(2, 60), change(4, 0))) == 5


@pytest.mark.parametrize(
    ("wanted", "current", "bounds", "count", "condition"),
    [
        (100, 1, (1, 50), 4, UP),
        (100, 3, (1, 50), 6, UP),
        (100, 3, (1, 6), 6, MANY),
        (100, 3, (1, 5), 5, MANY),
        (6, 3, (1, 50), 6, WITHIN),
        (5, 3, (1, 5), 5, WITHIN),
        (0, 3, (1, 50), 1, FEW),
        (1, 3, (1, 50), 1, WITHIN),
        (2, 30, (1, 50), 2, WITHIN),
    ],
)
def test_before_behaviors_the_count_doubled_or_was_four(
    wanted: int, current: int, bounds: tuple[int, int], count: int, condition: Condition
) -> None:
    least, most = bounds
    found = limited(wanted, current=current, least=least, most=most, behavior=None)
    assert (found.replicas, found.condition) == (count, condition)


@pytest.mark.parametrize(
    ("wanted", "current", "bounds", "count", "condition"),
    [
        (100, 1, (1, 50), 5, UP),
        (100, 10, (1, 50), 20, UP),
        (100, 10, (1, 20), 20, MANY),
        (100, 10, (1, 15), 15, MANY),
        (20, 10, (1, 50), 20, WITHIN),
        (0, 10, (1, 50), 1, FEW),
        (1, 10, (1, 50), 1, WITHIN),
        (3, 3, (5, 9), 3, WITHIN),
        (3, 3, (1, 2), 3, WITHIN),
    ],
)
def test_by_the_default_behavior(
    wanted: int, current: int, bounds: tuple[int, int], count: int, condition: Condition
) -> None:
    least, most = bounds
    found = limited(wanted, current=current, least=least, most=most, behavior=Behavior())
    assert (found.replicas, found.condition) == (count, condition)


@pytest.mark.parametrize(
    ("rates", "select", "ups", "downs", "count"),
    [
        ((FOUR_PODS,), Select.MAX, (), (), 13),
        ((HALF,), Select.MAX, (), (), 14),
        ((FOUR_PODS, HALF), Select.MAX, (), (), 14),
        ((FOUR_PODS, HALF), Select.MIN, (), (), 13),
        ((FOUR_PODS, HALF), Select.DISABLED, (), (), 9),
        ((), Select.MAX, (), (), 9),
        ((FOUR_PODS,), Select.MAX, (change(3, 59.9),), (), 10),
        ((FOUR_PODS,), Select.MAX, (change(3, 60),), (), 13),
        ((FOUR_PODS,), Select.MAX, (change(8, 1),), (), 9),
        ((FOUR_PODS,), Select.MAX, (), (change(3, 59.9),), 16),
        ((FOUR_PODS,), Select.MAX, (change(1, 1),), (change(3, 60),), 12),
        ((HALF,), Select.MAX, (change(2, 29.9),), (), 11),
        ((HALF,), Select.MAX, (change(2, 30),), (), 14),
        ((Rate(by=By.PODS, value=1.9, period_s=60),), Select.MAX, (), (), 10),
    ],
)
def test_up_from_nine(
    rates: tuple[Rate, ...],
    select: Select,
    ups: tuple[Change, ...],
    downs: tuple[Change, ...],
    count: int,
) -> None:
    behavior = Behavior(up=Rules(rates=rates, select=select), down=Rules(rates=()))
    found = limited(99, current=9, least=1, most=50, behavior=behavior, ups=ups, downs=downs)
    assert (found.replicas, found.condition) == (count, UP)


@pytest.mark.parametrize(
    ("rates", "select", "ups", "downs", "found"),
    [
        ((FOUR_PODS,), Select.MAX, (), (), (5, DOWN)),
        ((HALF,), Select.MAX, (), (), (4, DOWN)),
        ((FOUR_PODS, HALF), Select.MAX, (), (), (4, DOWN)),
        ((FOUR_PODS, HALF), Select.MIN, (), (), (5, DOWN)),
        ((FOUR_PODS, HALF), Select.DISABLED, (), (), (9, DOWN)),
        ((), Select.MAX, (), (), (9, DOWN)),
        ((FOUR_PODS,), Select.MAX, (), (change(3, 59.9),), (8, DOWN)),
        ((FOUR_PODS,), Select.MAX, (), (change(3, 60),), (5, DOWN)),
        ((FOUR_PODS,), Select.MAX, (), (change(8, 1),), (9, DOWN)),
        ((FOUR_PODS,), Select.MAX, (change(1, 1),), (), (4, DOWN)),
        ((FOUR_PODS,), Select.MAX, (change(2, 1),), (), (3, FEW)),
        ((FOUR_PODS,), Select.MAX, (change(3, 1),), (), (3, FEW)),
        ((Rate(by=By.PODS, value=1.9, period_s=60),), Select.MAX, (), (), (8, DOWN)),
    ],
)
def test_down_from_nine_to_three_at_least(
    rates: tuple[Rate, ...],
    select: Select,
    ups: tuple[Change, ...],
    downs: tuple[Change, ...],
    found: tuple[int, Condition],
) -> None:
    behavior = Behavior(up=Rules(rates=()), down=Rules(rates=rates, select=select))
    all_of = partial(limited, current=9, least=3, most=50, behavior=behavior, ups=ups, downs=downs)
    lowered, again = all_of(0), all_of(found[0])
    assert (lowered.replicas, lowered.condition) == found
    assert (again.replicas, again.condition) == (found[0], WITHIN)


@pytest.mark.parametrize(("wanted", "count"), [(999, 600), (0, 200)])
def test_a_percentage_is_of_a_hundred(wanted: int, count: int) -> None:
    by_half = Behavior(up=Rules(rates=(HALF,)), down=Rules(rates=(HALF,)))
    assert limited(wanted, current=400, least=1, most=999, behavior=by_half).replicas == count


USED, UNREADY, MISSING, IGNORED = "used", "unready", "missing", "ignored"


def pod(**known: object) -> Pod:
    """Ready for long, and measured."""
    given = {
        "ready": True,
        "started_age_s": 900.0,
        "transition_age_s": 800.0,
        "metric_m": 5,
        "metric_age_s": 5.0,
        **known,
    }
    return Pod(name="one", **given)  # type: ignore[arg-type]  # what a test says


def group_of(given: Pod, *, cpu: bool) -> str:
    found = grouped([given], cpu=cpu, readiness=Readiness())
    named = {USED: found.used, UNREADY: found.unready, MISSING: found.missing}
    [only] = [name for name, each in {**named, IGNORED: found.ignored}.items() if "one" in each]
    return only


@pytest.mark.parametrize(
    ("given", "by_cpu", "by_other"),
    [
        (pod(), USED, USED),
        (pod(deleting=True), IGNORED, IGNORED),
        (pod(phase=Phase.FAILED), IGNORED, IGNORED),
        (pod(phase=Phase.PENDING), UNREADY, UNREADY),
        (pod(phase=Phase.PENDING, metric_m=None), UNREADY, UNREADY),
        (pod(metric_m=None), MISSING, MISSING),
        (pod(metric_m=0), USED, USED),
        (pod(ready=None), UNREADY, USED),
        (pod(started_age_s=None), UNREADY, USED),
        # while it may be starting: by when it became ready and of when its figure is
        (pod(started_age_s=299.9, transition_age_s=65.0), USED, USED),
        (pod(started_age_s=299.9, transition_age_s=64.9), UNREADY, USED),
        (pod(started_age_s=299.9, transition_age_s=65.0, metric_age_s=5.1), UNREADY, USED),
        (pod(started_age_s=299.9, transition_age_s=20.0, window_s=15.0), USED, USED),
        (pod(started_age_s=299.9, ready=False), UNREADY, USED),
        # later: whether it ever was ready
        (pod(started_age_s=300.0, transition_age_s=1.0), USED, USED),
        (pod(started_age_s=300.0, ready=False, transition_age_s=270.0), USED, USED),
        (pod(started_age_s=300.0, ready=False, transition_age_s=270.1), UNREADY, USED),
        (pod(started_age_s=300.0, ready=True, transition_age_s=299.0), USED, USED),
    ],
)
def test_each_pod_is_in_one_group(given: Pod, by_cpu: str, by_other: str) -> None:
    assert group_of(given, cpu=True) == by_cpu
    assert group_of(given, cpu=False) == by_other


def test_a_pod_of_which_only_the_name_is_known() -> None:
    bare = Pod(name="one")
    assert (bare.phase, bare.deleting, bare.ready, bare.serves) == (
        Phase.RUNNING,
        False,
        None,
        False,
    )
    assert (bare.started_age_s, bare.request_m, bare.metric_m) == (None, None, None)
    assert (bare.transition_age_s, bare.metric_age_s, bare.window_s) == (0, 0, 60)


def test_who_is_ready_and_runs_serves() -> None:
    assert pod().serves
    assert not pod(ready=False).serves
    assert not pod(ready=None).serves
    assert not pod(phase=Phase.PENDING).serves
