"""From an evaluation to facts, and from facts to states: the two versioned logs that hpa folds."""

from datetime import datetime
from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpecified,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
)
from midstage.contracts.scaling import (
    Changed,
    Evaluation,
    Rule,
    ScaleDecided,
    ScalingFact,
    ScalingRemoved,
)
from midstage.hpa.model import DECISIONS_KEPT, LONGEST, Asked, Decision, Scaler


def decide(scaler: Scaler, evaluation: Evaluation) -> tuple[ScaleDecided, ...]:
    """A decision where the count changes, and for an application's first one; else nothing.

    Nothing too where another process decided since: the next evaluation sees the new count.
    """
    inputs = evaluation.inputs
    if scaler.count != inputs.current or evaluation.replicas == scaler.count:
        return ()
    return (
        ScaleDecided(
            app=inputs.app,
            replicas=evaluation.replicas,
            previous=scaler.count,
            reason=evaluation.reason,
            at=inputs.now,
            load_at=newest_load(evaluation),
            evaluation=evaluation,
        ),
    )


def ended(scaler: Scaler, removed: ScalingRemoved) -> tuple[ScalingRemoved, ...]:
    """``removed`` where there is a count, so that it is said once."""
    return (removed,) if scaler.count > 0 else ()


def evolve(scaler: Scaler, fact: ScalingFact) -> Scaler:
    """The scaler after ``fact``."""
    match fact:
        case ScaleDecided():
            decision = Decision(
                at=fact.at, before=scaler.count, after=fact.replicas, reason=fact.reason
            )
            return Scaler(
                count=fact.replicas,
                facts=scaler.facts + 1,
                changes=_changes(scaler, decision),
                decisions=(*scaler.decisions, decision)[-DECISIONS_KEPT:],
                removed_at=scaler.removed_at,
            )
        case ScalingRemoved():
            return Scaler(facts=scaler.facts + 1, decisions=scaler.decisions, removed_at=fact.at)
        case _:
            assert_never(fact)


def asked(held: Asked, fact: AppFact) -> Asked:
    """What the spec asks for after ``fact``."""
    match fact:
        case AppSpecified():
            return Asked(policy=fact.spec.scaling, initial=fact.spec.replicas)
        case AppRemoved():
            return Asked(removed=True)
        case (
            RolloutStarted()
            | RolloutProgressed()
            | RolloutPaused()
            | RolloutResumed()
            | RolloutEnded()
        ):
            return held
        case _:
            assert_never(fact)


def newest_load(evaluation: Evaluation) -> datetime | None:
    """The end of the newest load that the evaluation used; None where it used none."""
    load = evaluation.inputs.load
    used = {each.rule for each in evaluation.proposals if each.want is not None}
    ends = [
        end
        for rule, end in (
            (Rule.REQUESTS_PER_S, load.until),
            (Rule.CONCURRENCY, load.gauged_until),
            (Rule.P99, load.until),
            (Rule.TTFT, load.until),
        )
        if rule in used and end is not None
    ]
    return max(ends, default=None)


def _changes(scaler: Scaler, decision: Decision) -> tuple[Changed, ...]:
    since = decision.at - LONGEST
    kept = tuple(change for change in scaler.changes if change.at > since)
    return (*kept, Changed(at=decision.at, before=decision.before, after=decision.after))
