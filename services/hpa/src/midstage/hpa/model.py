"""What hpa remembers of an application: what its spec asks for, and the count in force.

Both are states of versioned logs (``midstage.apps.v1``, ``midstage.scaling.v1``), frozen values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from midstage.contracts.alarms import Alarm, AlarmRaised
from midstage.contracts.cluster import Amount
from midstage.contracts.manual import Override, Pause
from midstage.contracts.policy import Policy
from midstage.contracts.scaling import Changed, ScalingFact

LONGEST: Final = timedelta(hours=1)
"""No policy looks back further: stabilising windows and periods of rates are at most so long."""
DECISIONS_KEPT: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the newest spec asks for; no ``policy``: the application does not scale.

    ``initial`` is the spec's count, to begin with; ``requests``: what each replica asks for.
    """

    policy: Policy | None = None
    initial: int = 0
    requests: Amount = field(default_factory=Amount)
    removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One change of the count, without all that it was decided from."""

    at: datetime
    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manual:
    """What people ordered last and did not take back; each may be over by now."""

    override: Override | None = None
    pause: Pause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaler:
    """The count in force (0: none), the ``facts`` folded, and what changed lately, oldest first.

    ``changes`` hold the last hour before the newest one, the first count as one from 0.
    ``decisions`` are the newest, for people. What was wanted up to ``removed_at`` was wanted of
    another life of the application. ``manual`` is the same object until an order changes it.
    """

    count: int = 0
    facts: int = 0
    removed_at: datetime | None = None
    changes: tuple[Changed, ...] = ()
    decisions: tuple[Decision, ...] = ()
    manual: Manual = Manual()

    @property
    def stands(self) -> bool:
        """Whether there is anything that ends with the application's scaling."""
        return self.count > 0 or self.manual != Manual()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What may be an alarm: it is so ``since`` then; None: it is not so."""

    alarm: Alarm
    since: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """Those of one application that stand, by kind."""

    raised: Mapping[Alarm, AlarmRaised] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What would be, with these facts more in the log, and this policy instead of the spec's."""

    app: str
    policy: Policy | None = None
    facts: tuple[ScalingFact, ...] = ()
