"""From an evaluation to a decision in the log, and what the log says then."""

from datetime import timedelta

import msgspec

from midstage.contracts.apps import (
    AppRemoved,
    AppSpec,
    AppSpecified,
    How,
    RolloutEnded,
    RolloutStarted,
    Verdict,
)
from midstage.contracts.cluster import Amount
from midstage.contracts.policy import Targets
from midstage.contracts.scaling import Evaluation, ScaleDecided, ScalingFact, ScalingRemoved
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import asked, decide, ended, evolve, newest_load
from midstage.hpa.model import DECISIONS_KEPT, Asked, Decision, Scaler
from midstage.testkit.clock import NOON
from midstage.testkit.decider import Decider
from tests.hpa.engine import changed, inputs, load, pods, policy

scaler: Decider[Scaler, Evaluation, ScalingFact] = Decider(
    initial=Scaler(), decide=decide, evolve=evolve
)
BUSY = evaluate(inputs(load=load(concurrency=60)))
CALM = evaluate(inputs(load=load(concurrency=40)))


def decided(replicas: int, evaluation: Evaluation = BUSY, *, previous: int = 0) -> ScaleDecided:
    return ScaleDecided(
        app="chat",
        replicas=replicas,
        previous=previous,
        reason=evaluation.reason,
        at=evaluation.inputs.now,
        load_at=newest_load(evaluation),
        evaluation=evaluation,
    )


def test_a_change_is_decided_with_all_that_it_rests_on() -> None:
    scaler.given(decided(4)).when(BUSY).then(decided(6, previous=4))


def test_no_change_is_no_decision() -> None:
    scaler.given(decided(4)).when(CALM).then_nothing()


def test_the_first_count_is_decided_even_if_it_is_the_specs() -> None:
    first = evaluate(inputs(current=0, initial=4, pods=()))
    scaler.given().when(first).then(decided(4, first))


def test_nothing_is_decided_on_a_count_that_another_process_has_changed() -> None:
    scaler.given(decided(4), decided(5, previous=4)).when(BUSY).then_nothing()


def test_the_end_is_said_once() -> None:
    removed = ScalingRemoved(app="chat", at=NOON)
    over: Decider[Scaler, ScalingRemoved, ScalingFact] = Decider(
        initial=Scaler(), decide=ended, evolve=evolve
    )
    over.given(decided(4)).when(removed).then(removed)
    over.given(decided(4), removed).when(removed).then_nothing()
    over.given().when(removed).then_nothing()


def test_the_log_gives_the_count_and_what_changed() -> None:
    scaler.given(decided(4)).when(BUSY).then_state(
        Scaler(
            count=6,
            facts=2,
            changes=(changed(0, 0, 4), changed(0, 4, 6)),
            decisions=(
                Decision(at=NOON, before=0, after=4, reason=BUSY.reason),
                Decision(at=NOON, before=4, after=6, reason=BUSY.reason),
            ),
        )
    )


def test_after_the_end_a_new_life_begins() -> None:
    state = scaler.given(decided(4), decided(6), ScalingRemoved(app="chat", at=NOON)).state
    assert (state.count, state.changes, state.removed_at) == (0, (), NOON)
    assert [each.after for each in state.decisions] == [4, 6]


def test_what_is_remembered_has_an_end() -> None:
    many = [decided(1 + number % 2) for number in range(DECISIONS_KEPT + 9)]
    assert len(scaler.given(*many).state.decisions) == DECISIONS_KEPT


def test_the_newest_spec_counts_and_rollouts_change_nothing() -> None:
    scales = policy()
    specified = AppSpecified(
        app="chat",
        at=NOON,
        spec=AppSpec(image="x", scaling=scales, replicas=3),
        revision="r1",
    )
    held = asked(Asked(), specified)
    usual = Amount(cpu=0.1, memory_mb=128)
    assert held == Asked(policy=scales, initial=3, requests=usual)
    started = RolloutStarted(app="chat", at=NOON, revision="r1", how=How.FIRST)
    over = RolloutEnded(app="chat", at=NOON, revision="r1", verdict=Verdict.COMPLETE)
    assert asked(asked(held, started), over) == held
    assert asked(held, AppRemoved(app="chat", at=NOON)) == Asked(removed=True)


def test_a_decision_says_how_new_its_load_was() -> None:
    assert newest_load(BUSY) == BUSY.inputs.load.gauged_until
    assert newest_load(evaluate(inputs(pods=pods(4, cpu=0.5)))) is None


def test_of_several_loads_the_newest_that_was_used_counts() -> None:
    both = policy(targets=Targets(requests_per_s=10, concurrency=10))
    older, newer = NOON - timedelta(seconds=5), NOON - timedelta(seconds=2)
    said = msgspec.structs.replace(
        load(requests_per_s=40, concurrency=40), until=older, gauged_until=newer
    )
    assert newest_load(evaluate(inputs(policy=both, load=said))) == newer
    by_cpu = policy(targets=Targets(cpu=0.5))
    assert newest_load(evaluate(inputs(policy=by_cpu, load=said, pods=pods(4, cpu=0.5)))) is None


def test_each_fact_is_counted_and_a_change_of_an_hour_ago_is_forgotten() -> None:
    removed = ScalingRemoved(app="chat", at=NOON)
    assert evolve(Scaler(count=3, facts=4), removed).facts == 5
    held = Scaler(count=4, changes=(changed(3600, 1, 2), changed(3599, 2, 4)))
    assert evolve(held, decided(6)).changes == (changed(3599, 2, 4), changed(0, 4, 6))


def test_a_decision_fits_into_the_log_with_a_thousand_replicas() -> None:
    large = evaluate(inputs(pods=pods(2000, cpu=0.5), load=load(concurrency=60)))
    assert len(msgspec.json.encode(decided(6, large))) < 600_000
