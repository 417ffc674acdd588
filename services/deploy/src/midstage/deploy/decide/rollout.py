"""When a rollout begins and how it ends.

It is complete when every wanted replica of the new revision is ready and no older workload is left.
It has failed when new replicas crash again and again, or when nothing got ready in time and no
older replica is waited for. A failed one is undone where its policy says so, else held: what served
goes on serving, and what was started stays to be looked at, until all of it gets ready after all.
"""

from datetime import datetime, timedelta

from midstage.contracts.apps import AppSpec, How, Verdict
from midstage.contracts.running import OnFailure
from midstage.deploy.decide.by_itself import last_complete
from midstage.deploy.decide.fleet import Fleet, serves, serving, serving_revision, unschedulable
from midstage.deploy.decide.reasons import CRASHES, amiss, crash_loop, crashed_often, refused
from midstage.deploy.decide.room import Way, course_of
from midstage.deploy.decide.told import says
from midstage.deploy.model import (
    EndRollout,
    ProgressRollout,
    Rollout,
    Seen,
    Situation,
    Specified,
    StartRollout,
    UndoFailed,
)

TOLD_EVERY = timedelta(seconds=1)


def seen(situation: Situation, current: Specified, fleet: Fleet, count: int) -> Seen | None:
    """What is to be told of the rollout now; None: nothing new. ``count`` replicas are wanted."""
    rollout = situation.state.rollout
    if rollout is None or rollout.started.revision != current.fact.revision:
        if rollout is not None and rollout.ended is None:
            reason = f"revision {current.fact.revision} was specified meanwhile"
            return _end(situation, rollout, Verdict.SUPERSEDED, reason)
        return _start(situation, current, fleet, count)
    if is_complete(fleet, count):
        failed = rollout.ended is not None and rollout.ended.verdict is Verdict.FAILED
        if rollout.ended is None or failed:
            return _end(situation, rollout, Verdict.COMPLETE, "")
    if rollout.ended is not None:
        return _undo(situation, current, rollout)
    failure = _failure(situation, rollout, current.fact.spec, fleet, count)
    if failure:
        return _end(situation, rollout, Verdict.FAILED, failure)
    return _progress(situation, rollout, fleet, count)


def is_complete(fleet: Fleet, count: int) -> bool:
    """Whether all ``count`` replicas run the wanted revision, and nothing else is left."""
    return not fleet.old and serving(fleet.new_pods) >= count


def is_held(rollout: Rollout | None, fleet: Fleet) -> bool:
    """Whether a failed rollout leaves the older replicas as they are."""
    if not fleet.old or rollout is None or rollout.ended is None:
        return False
    if rollout.ended.verdict is not Verdict.FAILED:
        return False
    pods = fleet.new_pods
    return not pods or crashed_often(pods) or not all(serves(pod) for pod in pods)


def is_tight(rollout: Rollout | None, spec: AppSpec, fleet: Fleet) -> bool:
    """Whether older replicas have to give their places to the new ones."""
    in_place = rollout is not None and rollout.started.how is How.IN_PLACE
    return in_place or spec.rollout.surge == 0 or unschedulable(fleet.new_pods) > 0


def _start(situation: Situation, current: Specified, fleet: Fleet, count: int) -> StartRollout:
    spec = current.fact.spec
    previous = serving_revision(fleet.old)
    how = How.FIRST
    if previous:
        course = course_of(
            spec,
            count,
            situation.pods,
            situation.room,
            generation=current.fact.generation,
        )
        in_place = course.way is Way.IN_PLACE or spec.rollout.surge == 0
        how = How.IN_PLACE if in_place else How.SURGE
    return StartRollout(
        app=situation.app,
        carries=current.version,
        revision=current.fact.revision,
        previous=previous,
        how=how,
        at=situation.now,
    )


def _end(situation: Situation, rollout: Rollout, verdict: Verdict, reason: str) -> EndRollout:
    return EndRollout(
        app=situation.app,
        revision=rollout.started.revision,
        verdict=verdict,
        reason=reason,
        at=situation.now,
    )


def _undo(situation: Situation, current: Specified, rollout: Rollout) -> UndoFailed | None:
    """Asked once by its policy; an undo that failed is held, and so is what had nothing before."""
    failed = rollout.ended is not None and rollout.ended.verdict is Verdict.FAILED
    by_policy = current.fact.spec.rollout.on_failure is OnFailure.UNDO
    if not failed or not by_policy or current.fact.undoes or not last_complete(situation.state):
        return None
    reason = rollout.ended.reason if rollout.ended else ""
    return UndoFailed(app=situation.app, carries=current.version, reason=reason, at=situation.now)


def _progress(
    situation: Situation, rollout: Rollout, fleet: Fleet, count: int
) -> ProgressRollout | None:
    """Where it is now, if that is another place than was told, and not too soon after."""
    now = ProgressRollout(
        app=situation.app,
        revision=rollout.started.revision,
        wanted=count,
        ready=serving(fleet.new_pods),
        old=len(fleet.old_pods),
        reason=_waits_for(situation, fleet),
        at=situation.now,
    )
    last = rollout.progress
    if last is not None and (says(last) == says(now) or situation.now - last.at < TOLD_EVERY):
        return None
    return now


def _waits_for(situation: Situation, fleet: Fleet) -> str:
    said = amiss(situation, fleet)
    if situation.state.is_paused:
        return f"paused; {said}" if said else "paused"
    return said or ("older replicas are draining" if _waits_for_old(situation, fleet) else "")


def _failure(
    situation: Situation, rollout: Rollout, spec: AppSpec, fleet: Fleet, count: int
) -> str:
    """Why it has failed; empty where it has not, or is paused and shall be looked at."""
    if situation.state.is_paused:
        return ""
    looping = crash_loop(fleet.new_pods)
    if looping:
        return looping
    if situation.refusal is not None and situation.refusal.times >= CRASHES:
        return refused(situation)
    if serving(fleet.new_pods) >= count or _waits_for_old(situation, fleet):
        return ""
    within = timedelta(seconds=spec.rollout.progress_within_s)
    if situation.now - _progressed_at(situation, rollout, fleet) <= within:
        return ""
    ready = serving(fleet.new_pods)
    said = amiss(situation, fleet) or "replicas are starting still"
    return f"{ready} of {count} ready, no progress within {within.total_seconds():g} s; {said}"


def _waits_for_old(situation: Situation, fleet: Fleet) -> bool:
    return any(pod.draining and pod.uid not in situation.stoppable for pod in fleet.old_pods)


def _progressed_at(situation: Situation, rollout: Rollout, fleet: Fleet) -> datetime:
    ready = [pod.ready_at for pod in fleet.new_pods if pod.ready_at is not None]
    since = [at for at in (situation.scale.at, rollout.resumed_at) if at is not None]
    return max([rollout.started.at, *ready, *since])
