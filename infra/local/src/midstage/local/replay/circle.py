"""What the closed loop did in one replay: load, decisions, replicas, availability. Values, pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from midstage.local.replay import scaling, steps
from midstage.local.replay.listing import CallerRow
from midstage.local.replay.scaling import Decision
from midstage.local.replay.series import Series, series, started
from midstage.local.replay.steps import Step, Steps
from midstage.local.replay.told import Told


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """One application as stats' ``/v1/availability`` shows it; shares, None where unknown."""

    app: str
    good: int
    valid: int
    availability: float | None = None
    target: float | None = None
    budget: Mapping[str, int | float | bool | None] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """Replicas of the application that was called, while it was: what was wanted, what served.

    ``seconds`` are those of all ready pods together, ``fixed_seconds`` those of as many as were
    ready at the peak, all the time.
    """

    wanted: Steps
    serving: Steps
    peak: int
    seconds: float
    fixed_seconds: float

    @property
    def saved(self) -> float:
        """The share of a fixed fleet's seconds that was not needed."""
        return 1 - self.seconds / self.fixed_seconds if self.fixed_seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """What the loop did; ``decisions`` and ``replicas`` are None where the log was not read.

    ``last_sent`` is the start of the last request. ``replicas`` is None too where no fact ever
    spoke of a pod of ``app``.
    """

    app: str = ""
    series: Series | None = None
    last_sent: datetime | None = None
    decisions: tuple[Decision, ...] | None = None
    replicas: Replicas | None = None
    availability: tuple[Availability, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def scale_ups(self) -> int | None:
        """Of ``app`` before its last request."""
        return self._count(up=True)

    @property
    def scale_downs(self) -> int | None:
        """Of ``app`` before its last request."""
        return self._count(up=False)

    def _count(self, *, up: bool) -> int | None:
        last = self.last_sent
        if self.decisions is None or last is None:
            return None
        before = (one for one in self.decisions if one.app == self.app and one.at < last)
        return sum(one.up if up else one.down for one in before)


UNKNOWN: Final = Circle()
"""Nobody asked."""


def circle(
    mine: Sequence[CallerRow],
    *,
    app: str,
    told: Told | None,
    availability: Sequence[Availability] = (),
    notes: Sequence[str] = (),
) -> Circle:
    """The circle of the run with the list ``mine``; ``told`` None: the log could not be read."""
    if not mine:
        return Circle(app=app, notes=tuple(notes))
    begun, last_sent = (pick(started(row) for row in mine) for pick in (min, max))
    ended = max(row.ended_at for row in mine)
    return Circle(
        app=app,
        series=series(mine),
        last_sent=last_sent,
        decisions=None if told is None else _decisions(told, begun, ended),
        replicas=None if told is None else _replicas(told, app, begun, ended),
        availability=tuple(availability),
        notes=tuple(notes),
    )


def _decisions(told: Told, begun: datetime, ended: datetime) -> tuple[Decision, ...]:
    apps = {fact.app for fact in told.decisions}
    serving = {app: steps.pods(told.pods, app=app, counts=steps.serves) for app in apps}
    followed = scaling.followed(told.decisions, serving=serving, until=ended)
    return tuple(one for one in followed if begun <= one.at <= ended)


def _replicas(told: Told, app: str, begun: datetime, ended: datetime) -> Replicas | None:
    ready = steps.pods(told.pods, app=app, counts=steps.ready)
    if not steps.within(ready, begun, ended):
        return None
    serving = steps.pods(told.pods, app=app, counts=steps.serves)
    peak = steps.peak(ready, begun, ended)
    return Replicas(
        wanted=_wanted(told, app, begun, ended),
        serving=steps.within(serving, begun, ended),
        peak=peak,
        seconds=steps.seconds(ready, begun, ended),
        fixed_seconds=peak * (ended - begun).total_seconds(),
    )


def _wanted(told: Told, app: str, begun: datetime, ended: datetime) -> Steps:
    """What was wanted from ``begun`` on; before the first decision what that one calls before."""
    shown = steps.within(scaling.wanted(told.decisions, app=app), begun, ended)
    if not shown or shown[0].at == begun:
        return shown
    before = next(one.previous for one in told.decisions if one.app == app)
    return (Step(at=begun, count=before), *shown) if before else shown
