"""How an application stands: counts, its rollout, and the true reason where something is amiss."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from midstage.contracts.apps import AppSpecified, RolloutProgressed, Verdict
from midstage.contracts.running import OnDrift
from midstage.deploy.decide.fleet import Fleet, fleet_of, serving
from midstage.deploy.decide.reasons import amiss
from midstage.deploy.decide.wanted import wanted
from midstage.deploy.model import App, Rollout, Situation, Specified, companions


class Stage(StrEnum):
    """Where an application is, in one word."""

    UNKNOWN = "unknown"  # the cluster can't be asked now
    ROLLING = "rolling"
    PAUSED = "paused"
    FAILED = "failed"
    PENDING = "pending"  # not all replicas are ready
    READY = "ready"
    ENDING = "ending"  # removed, and replicas are left
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStatus:
    """The newest rollout; ``state`` is ``running``, ``paused`` or its verdict."""

    revision: str
    previous: str
    how: str
    state: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    progress: RolloutProgressed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``ready`` of the ``wanted`` replicas run the spec that holds; ``old`` are of another.

    ``drift``: what somebody else has set, as ``manager: path``, and what is done about it.
    """

    stage: Stage
    wanted: int
    ready: int
    starting: int
    draining: int
    old: int
    reason: str
    drift: tuple[str, ...]
    rollout: RolloutStatus | None


def status_of(situation: Situation) -> Status:
    """How it stands now."""
    current = situation.state.current
    fleet = fleet_of(situation, current.fact.revision if current else "")
    count = wanted(current.fact.spec, situation.scale) if current else 0
    pods = fleet.new_pods
    kept = [pod for pod in pods if not pod.draining]
    return Status(
        stage=_stage(situation, current, fleet, count),
        wanted=count,
        ready=serving(pods),
        starting=sum(1 for pod in kept if not pod.ready),
        draining=sum(1 for crew in fleet.crews for pod in crew.pods if pod.draining),
        old=len(fleet.old_pods),
        reason=_reason(situation, fleet, count),
        drift=tuple(_drift(situation)),
        rollout=_rolled(situation.state),
    )


def specified_at(state: App, version: int) -> Specified | None:
    """The spec that came with this version; None where another fact did."""
    return next((entry for entry in state.history if entry.version == version), None)


def is_first(state: App, entry: Specified) -> bool:
    """Whether nothing stood before this spec in the application's own life."""
    since = state.since if state.since < entry.version else 0
    return not any(since < other.version < entry.version for other in state.history)


def is_restart(state: App, version: int, fact: AppSpecified) -> bool:
    """Whether the spec that came with this version is the one before it, in a new generation."""
    before = [entry.fact for entry in state.history if entry.version < version]
    return bool(before) and before[-1].spec == fact.spec and before[-1].revision != fact.revision


def newest_first(state: App) -> list[tuple[int, AppSpecified]]:
    """The specs that the log remembers."""
    return [(entry.version, entry.fact) for entry in reversed(state.history)]


def _stage(situation: Situation, current: Specified | None, fleet: Fleet, count: int) -> Stage:
    if situation.room is None:
        return Stage.UNKNOWN
    if current is None:
        return Stage.ENDING if fleet.crews else Stage.GONE
    if situation.state.is_paused:
        return Stage.PAUSED
    return _rolling(situation.state.rollout, current) or (
        Stage.READY if serving(fleet.new_pods) >= count else Stage.PENDING
    )


def _rolling(rollout: Rollout | None, current: Specified) -> Stage | None:
    if rollout is None or rollout.started.revision != current.fact.revision:
        return Stage.ROLLING
    if rollout.ended is None:
        return Stage.ROLLING
    return Stage.FAILED if rollout.ended.verdict is Verdict.FAILED else None


def _reason(situation: Situation, fleet: Fleet, count: int) -> str:
    """What is amiss now; else what the rollout ended with; else that it is complete."""
    if situation.room is None:
        return "the cluster can't be asked now"
    said = amiss(situation, fleet)
    if said:
        return said
    current, rollout = situation.state.current, situation.state.rollout
    if current is None:
        return "removed"
    ended = rollout.ended if rollout else None
    if ended is not None and ended.revision == current.fact.revision and ended.reason:
        return ended.reason
    return _course(situation, fleet, count)


def _course(situation: Situation, fleet: Fleet, count: int) -> str:
    """Where it is while nothing is amiss."""
    if situation.state.is_paused:
        return _paused(situation.state)
    ready = serving(fleet.new_pods)
    if ready < count:
        return f"{count - ready} of {count} starting"
    return "complete" if not fleet.old else "older replicas are leaving"


def _paused(state: App) -> str:
    paused = state.paused
    if paused is None:
        return ""
    why = f": {paused.why}" if paused.why else ""
    return f"paused by {paused.by or 'somebody'} at {paused.at:%H:%M:%S}{why}"


def _drift(situation: Situation) -> Iterator[str]:
    current = situation.state.current
    tolerates = current is not None and current.fact.spec.drift is OnDrift.TOLERATE
    found = [(each.name, each.drift) for each in situation.workloads]
    for name, drift in [*found, (companions(situation.app), situation.astray)]:
        fight = situation.fights.get(name)
        for each in drift:
            if tolerates:
                yield f"{each} (tolerated)"
            elif fight is not None and each in fight.drift:
                yield f"{each} (set again after {fight.times} corrections; it is corrected later)"
            else:
                yield f"{each} (is being corrected)"
        if not drift and fight is not None and fight.times > 1:
            yield from (f"{each} (corrected {fight.times} times)" for each in fight.drift)


def _rolled(state: App) -> RolloutStatus | None:
    rollout = state.rollout
    if rollout is None:
        return None
    started, ended = rollout.started, rollout.ended
    paused = state.paused.revision if state.is_paused and state.paused else ""
    running = "paused" if started.revision == paused else "running"
    return RolloutStatus(
        revision=started.revision,
        previous=started.previous,
        how=started.how.value,
        state=ended.verdict.value if ended else running,
        reason=ended.reason if ended else "",
        started_at=started.at,
        ended_at=ended.at if ended else None,
        progress=rollout.progress,
    )
