"""From an evaluation to facts, and from facts to states: the two versioned logs that hpa folds."""

from dataclasses import replace
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
from midstage.contracts.cluster import Amount
from midstage.contracts.manual import (
    ManualFact,
    OverrideLifted,
    OverrideSet,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.scaling import (
    Changed,
    Evaluation,
    Rule,
    ScaleDecided,
    ScalingFact,
    ScalingRemoved,
)
from midstage.hpa.decide.manual import in_force
from midstage.hpa.model import DECISIONS_KEPT, LONGEST, Asked, Decision, Manual, Scaler


def decide(scaler: Scaler, evaluation: Evaluation) -> tuple[ScaleDecided, ...]:
    """A decision where the count changes, and for an application's first one; else nothing.

    Nothing too where another process decided since, or somebody ordered: the next evaluation sees
    the new count and orders.
    """
    inputs = evaluation.inputs
    if scaler.count != inputs.current or evaluation.replicas == scaler.count:
        return ()
    if ordered(scaler, inputs.now) != Manual(override=inputs.override, pause=inputs.pause):
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


def ordered(scaler: Scaler, now: datetime) -> Manual:
    """What people ordered and holds at ``now``."""
    manual = scaler.manual
    return Manual(override=in_force(manual.override, now), pause=in_force(manual.pause, now))


def ended(scaler: Scaler, removed: ScalingRemoved) -> tuple[ScalingRemoved, ...]:
    """``removed`` where there is a count or an order, so that it is said once."""
    return (removed,) if scaler.stands else ()


def evolve(scaler: Scaler, fact: ScalingFact) -> Scaler:
    """The scaler after ``fact``."""
    match fact:
        case ScaleDecided():
            decision = Decision(
                at=fact.at, before=scaler.count, after=fact.replicas, reason=fact.reason
            )
            return replace(
                scaler,
                count=fact.replicas,
                facts=scaler.facts + 1,
                changes=_changes(scaler, decision),
                decisions=(*scaler.decisions, decision)[-DECISIONS_KEPT:],
            )
        case ScalingRemoved():
            return Scaler(facts=scaler.facts + 1, decisions=scaler.decisions, removed_at=fact.at)
        case OverrideSet() | OverrideLifted() | ScalingPaused() | ScalingResumed():
            manual = _manual(scaler.manual, fact)
            return replace(scaler, facts=scaler.facts + 1, manual=manual)
        case _:
            assert_never(fact)


def asked(held: Asked, fact: AppFact) -> Asked:
    """What the spec asks for after ``fact``."""
    match fact:
        case AppSpecified():
            needs = fact.spec.resources
            return Asked(
                policy=fact.spec.scaling,
                initial=fact.spec.replicas,
                requests=Amount(cpu=needs.cpu, memory_mb=needs.memory_mb, gpus=needs.gpus),
            )
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


def _manual(manual: Manual, fact: ManualFact) -> Manual:
    match fact:
        case OverrideSet():
            return replace(manual, override=fact.override)
        case OverrideLifted():
            return replace(manual, override=None)
        case ScalingPaused():
            return replace(manual, pause=fact.pause)
        case ScalingResumed():
            return replace(manual, pause=None)
        case _:
            assert_never(fact)


def _changes(scaler: Scaler, decision: Decision) -> tuple[Changed, ...]:
    since = decision.at - LONGEST
    kept = tuple(change for change in scaler.changes if change.at > since)
    return (*kept, Changed(at=decision.at, before=decision.before, after=decision.after))
