"""Each stage of the chain alone, and the whole chain on stories of single applications."""

from datetime import timedelta

import msgspec
import pytest

from midstage.contracts.cluster import Phase
from midstage.contracts.policy import Fallback, Rate, Targets
from midstage.contracts.scaling import Changed, Inputs
from midstage.hpa.decide import stages
from midstage.hpa.decide.evaluate import begin, evaluate
from midstage.hpa.decide.rules import proposals
from midstage.hpa.decide.situation import UNPLACED_S, Situation
from midstage.hpa.decide.situation import of as situation_of
from midstage.testkit.clock import NOON
from tests.hpa.engine import ago, changed, figures, inputs, load, pods, policy, why

BOTH = Targets(concurrency=10, cpu=0.6)


def situation(of: Inputs) -> Situation:
    current = begin(of).replicas
    return situation_of(of, current, proposals(of, current)[0])


def test_the_spec_gives_the_first_count_within_the_bounds() -> None:
    assert begin(inputs(current=0, initial=3)).replicas == 3
    assert begin(inputs(current=0, initial=30)).replicas == 10
    first = begin(inputs(current=0, initial=0))
    assert (first.replicas, first.reason) == (1, "none yet; the spec begins with 1")
    assert begin(inputs(current=7, initial=3)).replicas == 7


def test_what_the_spec_begins_with_is_held_as_the_first_want() -> None:
    idle = inputs(
        policy=policy(targets=Targets(concurrency=10), stabilise_down_s=60),
        load=load(concurrency=0),
        pods=pods(0),
        current=0,
        initial=3,
    )
    first = evaluate(idle)
    assert (first.replicas, first.want) == (3, 3)
    assert why(first, "stabilise") == "3 by the largest want of the last 60 s"
    assert evaluate(msgspec.structs.replace(idle, load=load())).want == 3  # load comes later
    at_once = msgspec.structs.replace(idle.policy, stabilise_down_s=0)
    assert evaluate(msgspec.structs.replace(idle, policy=at_once)).replicas == 1


def test_what_the_spec_begins_with_is_held_before_its_want_is_read_back() -> None:
    """Half a second after the first count its evaluation may not have been read yet."""
    soon = inputs(
        policy=policy(targets=Targets(concurrency=10), stabilise_down_s=60),
        load=load(concurrency=11),
        pods=pods(3),
        current=3,
        changes=(changed(0.5, 0, 3),),
    )
    evaluation = evaluate(soon)
    assert (evaluation.replicas, evaluation.want) == (3, 2)
    assert why(evaluation, "stabilise") == "3 by the largest want of the last 60 s"
    over = msgspec.structs.replace(soon, changes=(changed(60, 0, 3),))
    assert evaluate(over).replicas == 2
    unknown = msgspec.structs.replace(soon, load=load())
    assert (evaluate(unknown).replicas, evaluate(unknown).want) == (3, None)


def test_the_first_count_is_not_a_change_that_uses_up_the_rate() -> None:
    slow = Rate(pods=2, percent=0)
    rising = inputs(policy=policy(up=slow), load=load(concurrency=90), changes=(changed(5, 0, 4),))
    assert evaluate(rising).replicas == 6


def test_the_largest_want_wins() -> None:
    busy = inputs(policy=policy(targets=BOTH), load=load(concurrency=15), pods=pods(4, cpu=0.9))
    stage = stages.largest(situation(busy), 4)
    assert (stage.replicas, stage.reason.partition(":")[0]) == (6, "cpu")


def test_without_valid_input_nothing_changes() -> None:
    evaluation = evaluate(inputs(policy=policy(targets=BOTH), pods=pods(4)))
    assert (evaluation.replicas, evaluation.want) == (4, None)
    assert evaluation.reason == "no rule has valid input"
    assert figures(evaluation)["unknown"] == 4


def test_without_valid_input_the_bounds_still_hold() -> None:
    assert evaluate(inputs(policy=policy(min=6))).replicas == 6
    assert evaluate(inputs(policy=policy(max=3))).replicas == 3


def test_a_rule_that_does_not_know_keeps_the_others_from_lowering() -> None:
    idle = inputs(policy=policy(targets=BOTH), load=load(concurrency=1), pods=pods(4))
    evaluation = evaluate(idle)
    assert evaluation.replicas == 4
    assert why(evaluation, "unknown") == "not lowered while cpu is not known"


def test_a_rule_that_does_not_know_does_not_keep_the_others_from_raising() -> None:
    busy = inputs(policy=policy(targets=BOTH), load=load(concurrency=80), pods=pods(4))
    assert evaluate(busy).replicas == 8


def test_nothing_is_ordered_twice() -> None:
    """2 are ready and carry all of it; the 2 that start are enough."""
    rising = inputs(load=load(concurrency=40), pods=pods(2, starting=2))
    assert evaluate(rising).replicas == 4
    not_even_pods_yet = inputs(current=8, load=load(concurrency=80), pods=pods(2))
    assert evaluate(not_even_pods_yet).replicas == 8


def test_while_replicas_start_the_ready_ones_above_target_lower_nothing() -> None:
    """What 2 of 8 end in a second is held back by their own number."""
    flooded = inputs(
        current=8,
        policy=policy(targets=Targets(requests_per_s=10)),
        load=load(requests_per_s=26),
        pods=pods(2, starting=6),
    )
    evaluation = evaluate(flooded)
    assert evaluation.replicas == 8
    assert why(evaluation, "pending") == (
        "not lowered while the ready ones are above their requests/s"
    )


def test_while_replicas_start_the_ready_ones_below_target_may_lower() -> None:
    calm = inputs(current=8, load=load(concurrency=14), pods=pods(2, starting=6))
    assert evaluate(calm).replicas == 2


def test_with_none_ready_load_lowers_nothing_and_no_load_does() -> None:
    waiting = inputs(load=load(concurrency=3), pods=pods(0, starting=4))
    assert evaluate(waiting).replicas == 4
    assert evaluate(inputs(load=load(concurrency=0), pods=pods(0, starting=4))).replicas == 1


def test_while_the_cluster_is_unknown_nothing_is_lowered_but_load_may_raise() -> None:
    away = inputs(load=load(concurrency=5), cluster_at=None)
    assert why(evaluate(away), "pending") == "not lowered while the cluster can't be asked"
    assert evaluate(away).replicas == 4
    assert evaluate(inputs(load=load(concurrency=90), cluster_at=None)).replicas == 9


def test_what_finds_no_node_is_not_ordered_again() -> None:
    """A pod without a node since a minute: more would find none either; less may always be."""
    since = NOON - timedelta(seconds=UNPLACED_S + 1)
    unplaced = msgspec.structs.replace(
        pods(1)[0], ready=False, phase=Phase.PENDING, started_at=since
    )
    full = inputs(load=load(concurrency=90), pods=(*pods(3), unplaced))
    assert why(evaluate(full), "pending") == "not raised while pod-0 finds no node"
    assert evaluate(full).replicas == 4
    fresh = msgspec.structs.replace(unplaced, started_at=NOON - timedelta(seconds=UNPLACED_S))
    assert evaluate(inputs(load=load(concurrency=90), pods=(*pods(3), fresh))).replicas == 9
    calm = inputs(load=load(concurrency=9), pods=(*pods(3), unplaced))
    assert evaluate(calm).replicas == 1


@pytest.mark.parametrize(
    ("fallback", "carried", "count"),
    [
        (Fallback(), 5, 4),
        (Fallback(at_least=3), 5, 4),
        (Fallback(at_least=6), 5, 6),
        (Fallback(at_least=6), 90, 9),
        (Fallback(static=2), 5, 2),
        (Fallback(static=2), 30, 3),
        (Fallback(static=6), 5, 6),
        (Fallback(static=20), 5, 10),
    ],
)
def test_a_fallback_says_what_holds_while_a_rule_does_not_know(
    fallback: Fallback, carried: float, count: int
) -> None:
    of = inputs(policy=policy(targets=BOTH, fallback=fallback), load=load(concurrency=carried))
    assert evaluate(of).replicas == count


def test_a_fallback_is_named() -> None:
    blind = inputs(policy=policy(targets=BOTH, fallback=Fallback(static=2)))
    assert why(evaluate(blind), "unknown") == "2 while concurrency, cpu is not known"
    one = inputs(policy=policy(targets=BOTH, fallback=Fallback(static=1)))
    assert why(evaluate(one), "unknown") == "1 while concurrency, cpu is not known"
    least = inputs(policy=policy(targets=BOTH, fallback=Fallback(at_least=6)))
    assert why(evaluate(least), "unknown") == "not below 6 while concurrency, cpu is not known"


def test_down_goes_only_to_the_largest_want_of_the_window() -> None:
    falling = inputs(
        policy=policy(stabilise_down_s=60), load=load(concurrency=8), wants=(ago(59, 3),)
    )
    evaluation = evaluate(falling)
    assert (evaluation.replicas, evaluation.want) == (3, 1)
    assert why(evaluation, "stabilise") == "3 by the largest want of the last 60 s"


def test_wants_outside_of_the_window_are_forgotten() -> None:
    falling = inputs(
        policy=policy(stabilise_down_s=60), load=load(concurrency=8), wants=(ago(60, 3),)
    )
    assert evaluate(falling).replicas == 1


def test_up_goes_only_to_the_least_want_of_the_window() -> None:
    rising = inputs(
        policy=policy(stabilise_up_s=60), load=load(concurrency=90), wants=(ago(10, 6),)
    )
    evaluation = evaluate(rising)
    assert evaluation.replicas == 6
    assert why(evaluation, "stabilise") == "6 by the least want of the last 60 s"


def test_stabilising_never_turns_the_direction() -> None:
    """HPA v2: an earlier high want keeps from falling, it does not raise."""
    falling = inputs(
        policy=policy(stabilise_down_s=60), load=load(concurrency=8), wants=(ago(9, 9),)
    )
    assert evaluate(falling).replicas == 4
    rising = inputs(policy=policy(stabilise_up_s=60), load=load(concurrency=90), wants=(ago(9, 1),))
    assert evaluate(rising).replicas == 4


@pytest.mark.parametrize(
    ("rate", "changes", "count"),
    [
        (Rate(pods=2, percent=0), (), 6),
        (Rate(pods=0, percent=100), (), 8),
        (Rate(pods=2, percent=100), (), 8),
        (Rate(pods=4, percent=0), (changed(5, 2, 4),), 6),
        (Rate(pods=1, percent=0), (changed(5, 2, 4),), 4),
        (Rate(pods=4, percent=0), (changed(15, 2, 4),), 8),
        (Rate(pods=4, percent=0), (changed(9, 6, 3), changed(5, 3, 4)), 10),
    ],
)
def test_up_is_as_fast_as_the_policy_lets(
    rate: Rate, changes: tuple[Changed, ...], count: int
) -> None:
    rising = inputs(policy=policy(up=rate), load=load(concurrency=1e6), changes=changes)
    assert evaluate(rising).replicas == count


@pytest.mark.parametrize(
    ("rate", "changes", "count"),
    [
        (Rate(pods=1, percent=0), (), 3),
        (Rate(pods=0, percent=50), (), 2),
        (Rate(pods=0, percent=10), (), 3),
        (Rate(pods=3, percent=50), (), 1),
        (Rate(pods=2, percent=0), (changed(5, 5, 4),), 3),
        (Rate(pods=1, percent=0), (changed(5, 6, 4),), 4),
        (Rate(pods=0, percent=0), (), 4),
    ],
)
def test_down_is_as_fast_as_the_policy_lets(
    rate: Rate, changes: tuple[Changed, ...], count: int
) -> None:
    falling = inputs(policy=policy(down=rate), load=load(concurrency=1), changes=changes)
    assert evaluate(falling).replicas == count


def test_a_count_outside_of_its_bounds_goes_to_them_first() -> None:
    """At once, whatever the load is; HPA v2 too decides by it only from there on."""
    slow = Rate(pods=0, percent=0)
    raised = evaluate(inputs(policy=policy(min=8, up=slow), load=load(concurrency=90)))
    assert (raised.replicas, raised.want) == (8, None)
    assert why(raised, "bounds") == "the minimum is 8"
    lowered = evaluate(inputs(policy=policy(max=3, down=slow), load=load(concurrency=1)))
    assert (lowered.replicas, lowered.reason) == (3, "the maximum is 3")


def test_the_reason_tells_all_that_shaped_the_count() -> None:
    rising = inputs(policy=policy(up=Rate(pods=2, percent=0)), load=load(concurrency=87))
    evaluation = evaluate(rising)
    assert evaluation.reason == (
        "concurrency: 87 in flight and pending together, 10 each; at most 6 by the rate"
    )
    assert figures(evaluation) == {
        "current": 4,
        "largest": 9,
        "unknown": 9,
        "pending": 9,
        "stabilise": 9,
        "rate": 6,
        "forecast floor": 6,
        "timed floor": 6,
        "timed ceiling": 6,
        "pause": 6,
        "bounds": 6,
        "quota": 6,
        "manual": 6,
    }


def test_times_ahead_of_ours_are_new() -> None:
    """Clocks differ by some seconds: no reason to believe nothing."""
    ahead = inputs(load=load(concurrency=90, age_s=-3), cluster_at=NOON + timedelta(seconds=4))
    assert evaluate(ahead).replicas == 9
