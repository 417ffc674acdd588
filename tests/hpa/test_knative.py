"""Knative's rule on what is folded: two windows, a panic, and a memory that a take-over keeps."""

from datetime import datetime, timedelta

import msgspec
import pytest

from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Knative, Measure, Targets
from midstage.contracts.scaling import (
    Evaluation,
    EvaluationMade,
    Inputs,
    KnativeInput,
    KnativeMemory,
    Ticked,
)
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.remembered import AHEAD, KEPT, Remembered
from midstage.hpa.views.world import Standing, World
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, pods, policy

SECOND = timedelta(seconds=1)
RULE = policy(max=100, targets=Targets(), knative=Knative(target=10, utilization=0.5))


def carried(stable: float, panic: float, *, current: int = 4, **rest: object) -> Inputs:
    """4 replicas, of which each should carry 5."""
    held = KnativeInput(until=NOON, stable=stable, panic=panic)
    given = {"policy": RULE, "knative": held, "current": current, "pods": pods(current), **rest}
    return inputs(**given)


def test_the_stable_window_counts() -> None:
    assert evaluate(carried(30, 30)).replicas == 6
    assert evaluate(carried(30, 34)).memory is None


def test_a_burst_panics_and_a_panic_does_not_shrink() -> None:
    burst = evaluate(carried(20, 90))
    assert (burst.replicas, burst.proposals[0].want) == (18, 18)
    assert burst.proposals[0].reason.endswith("it panics and does not shrink")
    assert burst.memory is not None
    calm = KnativeInput(until=NOON + SECOND, stable=20, panic=20, memory=burst.memory)
    after = evaluate(carried(20, 20, current=18, knative=calm, now=NOON + SECOND))
    assert after.replicas == 18
    later = NOON + 61 * SECOND
    over = KnativeInput(until=later, stable=20, panic=20, memory=burst.memory)
    ended = evaluate(carried(20, 20, current=18, knative=over, now=later, cluster_at=later))
    assert (ended.replicas, ended.memory) == (9, None)  # at most half at once


def test_zero_is_wanted_and_the_minimum_is_kept() -> None:
    idle = evaluate(carried(0, 0, current=1))
    assert (idle.proposals[0].want, idle.replicas) == (0, 1)


def test_without_data_nothing_changes_and_nothing_is_forgotten() -> None:
    memory = evaluate(carried(20, 90)).memory
    blind = KnativeInput(memory=memory)
    found = evaluate(carried(0, 0, knative=blind))
    assert (found.replicas, found.want, found.memory) == (4, None, memory)
    old = KnativeInput(until=NOON - 11 * SECOND, stable=0, panic=0)
    assert evaluate(carried(0, 0, knative=old)).replicas == 4


@pytest.mark.parametrize(
    ("measure", "held", "reason"),
    [
        (Measure.RPS, KnativeInput(), "load is not known"),
        (Measure.CONCURRENCY, KnativeInput(), "what is in flight is not known"),
        (Measure.RPS, KnativeInput(until=NOON, stable=1.0), "load is not known"),
        (Measure.RPS, KnativeInput(until=NOON, panic=1.0), "load is not known"),
        (
            Measure.CONCURRENCY,
            KnativeInput(until=NOON - 11 * SECOND, stable=1.0, panic=1.0),
            "what is in flight was seen 11 s ago",
        ),
    ],
)
def test_what_is_not_known_is_named(measure: Measure, held: KnativeInput, reason: str) -> None:
    rule = msgspec.structs.replace(RULE, knative=Knative(metric=measure))
    [found] = evaluate(carried(0, 0, policy=rule, knative=held)).proposals
    assert (found.want, found.reason) == (None, reason)


def test_wants_of_the_delay_are_remembered_by_their_tick_and_no_figure_is_absurd() -> None:
    slow = msgspec.structs.replace(
        RULE, knative=Knative(target=10, utilization=0.5, scale_down_delay_s=60)
    )
    memory = evaluate(carried(30, 30, policy=slow)).memory
    assert memory is not None
    assert memory.maxima == (Ticked(tick=int(NOON.timestamp()) // 2, replicas=6),)
    huge = evaluate(carried(1e15, 1e15, policy=slow))
    assert huge.proposals[0].carried == 1e12
    assert huge.memory is not None
    assert huge.memory.most == 4000  # a thousand times what is ready


def second(ago: int, **what: object) -> LoadObserved:
    at = NOON - ago * SECOND
    given = {"outcomes": {"ok": 7}, "in_flight": 4, "pending": 0, **what}
    return LoadObserved(
        app="chat",
        second=at,
        shard=0,
        shards=1,
        complete_until=at + SECOND,
        **given,  # type: ignore[arg-type]  # what a test changes
    )


def folded(world: World, now: datetime = NOON, measure: Measure = Measure.CONCURRENCY) -> Inputs:
    rule = msgspec.structs.replace(RULE, knative=Knative(metric=measure))
    standing = Standing(
        asked=Asked(policy=rule), spec_version=1, scaler=Scaler(count=4, facts=1), scale_version=1
    )
    return world.inputs("chat", standing, rule, now)


def test_both_windows_are_folded_from_the_load() -> None:
    world = World()
    for ago in range(60, 0, -1):
        world.load(second(ago, in_flight=16 if ago <= 6 else 4), NOON)
    found = folded(world).knative
    assert found == KnativeInput(until=NOON, stable=5.2, panic=16.0)
    assert folded(world, measure=Measure.RPS).knative == KnativeInput(
        until=NOON, stable=7.0, panic=7.0
    )


def made(at: datetime, evaluation: Evaluation) -> EvaluationMade:
    given = msgspec.structs.replace(evaluation.inputs, now=at)
    return EvaluationMade(app="chat", evaluation=msgspec.structs.replace(evaluation, inputs=given))


def test_the_memory_is_that_of_the_newest_evaluation_in_whatever_order() -> None:
    panics, calm = evaluate(carried(20, 90)), evaluate(carried(20, 20))
    for facts in ((panics, calm), (calm, panics)):
        world = World()
        for each in facts:
            at = NOON - (5 if each is panics else 9) * SECOND
            world.evaluated(made(at, each), NOON)
            world.evaluated(made(at, each), NOON)
        knative = folded(world).knative
        assert knative is not None
        assert knative.memory == panics.memory
    world.evaluated(made(NOON, calm), NOON)
    assert folded(world).knative == KnativeInput()


def test_what_is_too_old_or_of_another_time_is_not_remembered() -> None:
    memory = evaluate(carried(20, 90)).memory
    held: Remembered[KnativeMemory] = Remembered()
    held.apply("chat", memory, NOON + AHEAD, NOON)
    held.apply("chat", memory, NOON - KEPT, NOON)
    assert held.of("chat", since=NOON - 2 * KEPT) is None
    held.apply("chat", memory, NOON, NOON)
    assert held.of("chat", since=NOON - SECOND) == memory
    assert held.of("chat", since=NOON) is None
