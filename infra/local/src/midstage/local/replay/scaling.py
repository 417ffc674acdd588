"""What became of each decision of hpa: when its load was seen, and when its replicas served. Pure.

A scale-up is carried out at the first moment with as many serving replicas as it wanted, unless a
later decision wanted fewer before that: then it never was, and its times are unknown, not zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from midstage.contracts.scaling import ScaleDecided
from midstage.local.replay import steps
from midstage.local.replay.steps import Step, Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One change of the count; ``ready_at`` is None for a scale-down and where it never came."""

    app: str
    at: datetime
    before: int
    after: int
    reason: str
    load_at: datetime | None
    ready_at: datetime | None = None

    @property
    def up(self) -> bool:
        """More than before; the first decision of all (from 0) is no change of a count."""
        return 0 < self.before < self.after

    @property
    def down(self) -> bool:
        """Fewer than before."""
        return self.after < self.before

    @property
    def load_to_decision_ms(self) -> float | None:
        """From the end of the newest load that was used."""
        return _ms(self.load_at, self.at)

    @property
    def decision_to_ready_ms(self) -> float | None:
        """From the decision to as many serving replicas."""
        return _ms(self.at, self.ready_at)

    @property
    def load_to_ready_ms(self) -> float | None:
        """From the end of the newest load that was used to as many serving replicas."""
        return _ms(self.load_at, self.ready_at)


def followed(
    facts: Sequence[ScaleDecided], *, serving: Mapping[str, Steps], until: datetime
) -> tuple[Decision, ...]:
    """Every decision in order of time; ``serving`` are the steps of each application."""
    ordered = sorted(facts, key=lambda fact: (fact.at, fact.app))
    return tuple(
        _followed(fact, ordered[number + 1 :], serving.get(fact.app, ()), until)
        for number, fact in enumerate(ordered)
    )


def wanted(facts: Sequence[ScaleDecided], *, app: str) -> tuple[Step, ...]:
    """The count that was wanted of ``app``; unknown, so no step, before its first decision."""
    ordered = sorted((fact for fact in facts if fact.app == app), key=lambda fact: fact.at)
    return steps.changes(Step(at=fact.at, count=fact.replicas) for fact in ordered)


def _followed(
    fact: ScaleDecided, later: Sequence[ScaleDecided], serving: Steps, until: datetime
) -> Decision:
    ready_at: datetime | None = None
    if 0 < fact.previous < fact.replicas:
        fewer = (other.at for other in later if _undoes(other, fact))
        end = min(next(fewer, until), until)
        ready_at = steps.reached(serving, fact.replicas, since=fact.at, until=end)
    return Decision(
        app=fact.app,
        at=fact.at,
        before=fact.previous,
        after=fact.replicas,
        reason=fact.reason,
        load_at=fact.load_at,
        ready_at=ready_at,
    )


def _undoes(other: ScaleDecided, fact: ScaleDecided) -> bool:
    return other.app == fact.app and other.replicas < fact.replicas


def _ms(begun: datetime | None, ended: datetime | None) -> float | None:
    return None if begun is None or ended is None else (ended - begun).total_seconds() * 1000
