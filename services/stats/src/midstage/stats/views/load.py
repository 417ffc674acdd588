"""The load of each application in each second of event time, as facts with revisions.

A second is written soon after it ends, zeros too, and again when late events changed it, for a
minute. Its revision is the number of its requests: it grows with each late event, and after a
restart the same rows give the same revision, so a fact written twice changes nothing. What shall
run has a fact each second from its spec on, before its first request and after its last.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved
from midstage.contracts.sketch import Sketch
from midstage.contracts.units import total
from midstage.stats.model import Counted
from midstage.stats.views.gauges import GONE_AFTER, Carried, Carrying

WINDOW = timedelta(seconds=60)
"""How long a late event still changes what was written; later ones are in usage only."""
SETTLING = timedelta(milliseconds=500)
MOST_APPS = 2_000
"""Made-up names in events must not cost a fact a second each; usage counts them all the same."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What the load keeps of one request."""

    app: str
    time: datetime
    outcome: str
    units: Mapping[str, int]
    duration_ms: float
    ttft_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The requests of one application that ended within one second."""

    requests: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    latency_ms: Sketch = sketch.EMPTY
    ttft_ms: Sketch = sketch.EMPTY


Key = tuple[str, datetime]
"""An application and the second's begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the last fact of a second said that its requests don't: revision and gauges."""

    revision: int
    carried: Carried | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The last minute: its seconds, what was written of them, and when each app was last seen."""

    seconds: Mapping[Key, Second] = field(default_factory=dict)
    written: Mapping[Key, Written] = field(default_factory=dict)
    apps: Mapping[str, datetime] = field(default_factory=dict)


def finished(row: Counted) -> Finished:
    """What the load keeps of a row: all its units, billed or not."""
    return Finished(
        app=row.fact.app,
        time=row.time,
        outcome=row.fact.outcome.value,
        units=row.units,
        duration_ms=row.fact.duration_ms,
        ttft_ms=row.fact.ttft_ms,
    )


def absorbed(window: Window, arrived: Iterable[Finished], *, now: datetime) -> Window:
    """The window with these requests; those outside of the minute around ``now`` are left out."""
    inside = [one for one in arrived if abs(now - one.time) <= WINDOW]
    named = _named(window, inside)
    recent = [one for one in inside if one.app in named]
    if not recent:
        return window
    seconds = dict(window.seconds)
    for key, more in _by_second(recent).items():
        seconds[key] = _added(seconds.get(key, Second()), more)
    apps = {**window.apps, **{one.app: now for one in recent}}
    return replace(window, seconds=seconds, apps=apps)


def due(
    window: Window,
    *,
    now: datetime,
    carrying: Carrying,
    complete_until: datetime | None,
    specified: Collection[str] = (),
) -> tuple[Window, tuple[LoadObserved, ...]]:
    """The facts to write now, oldest first, and the window after that.

    ``specified`` applications have one each second, as those that edges name.
    """
    last = begin(now - SETTLING) - _SECOND
    apps = {**window.apps, **dict.fromkeys((*(carrying or ()), *specified), now)}
    kept = {app: seen for app, seen in apps.items() if now - seen <= GONE_AFTER}
    keys = {key for key in window.seconds if key[1] <= last} | {(app, last) for app in kept}
    written = dict(window.written)
    facts: list[LoadObserved] = []
    for key in sorted(keys, key=lambda key: (key[1], key[0])):
        second = window.seconds.get(key, Second())
        before = written.get(key)
        if before is not None and before.revision == second.requests:
            continue
        gauges = before.carried if before else _carried(key, last, carrying)
        written[key] = Written(revision=second.requests, carried=gauges)
        facts.append(_fact(key, second, gauges, complete_until))
    return _trimmed(Window(seconds=window.seconds, written=written, apps=kept), now), tuple(facts)


def begin(time: datetime) -> datetime:
    """The begin of the second in which ``time`` lies."""
    return time.replace(microsecond=0)


def _named(window: Window, inside: Iterable[Finished]) -> frozenset[str]:
    """The applications that have a load: those known, and new ones as long as there is room."""
    fresh = sorted({one.app for one in inside} - window.apps.keys())
    return frozenset([*window.apps, *fresh[: max(0, MOST_APPS - len(window.apps))]])


def _by_second(recent: Iterable[Finished]) -> dict[Key, Second]:
    groups: defaultdict[Key, list[Finished]] = defaultdict(list)
    for one in recent:
        groups[(one.app, begin(one.time))].append(one)
    return {key: _second(group) for key, group in groups.items()}


def _second(group: list[Finished]) -> Second:
    return Second(
        requests=len(group),
        outcomes=Counter(one.outcome for one in group),
        units=total(one.units for one in group),
        latency_ms=sketch.sketch(one.duration_ms for one in group),
        ttft_ms=sketch.sketch(one.ttft_ms for one in group if one.ttft_ms is not None),
    )


def _added(one: Second, other: Second) -> Second:
    return Second(
        requests=one.requests + other.requests,
        outcomes=Counter(one.outcomes) + Counter(other.outcomes),
        units=total((one.units, other.units)),
        latency_ms=sketch.merged(one.latency_ms, other.latency_ms),
        ttft_ms=sketch.merged(one.ttft_ms, other.ttft_ms),
    )


def _carried(key: Key, last: datetime, carrying: Carrying) -> Carried | None:
    """The gauges are of now: they say nothing of a second that is long over."""
    if carrying is None or key[1] != last:
        return None
    return carrying.get(key[0], Carried())


def _fact(
    key: Key, second: Second, carried: Carried | None, complete_until: datetime | None
) -> LoadObserved:
    return LoadObserved(
        app=key[0],
        second=key[1],
        shard=0,
        shards=1,
        revision=second.requests,
        complete_until=complete_until,
        outcomes=dict(second.outcomes),
        units=dict(second.units),
        in_flight=carried.in_flight if carried else None,
        pending=carried.pending if carried else None,
        latency_ms=second.latency_ms,
        ttft_ms=second.ttft_ms,
    )


def _trimmed(window: Window, now: datetime) -> Window:
    oldest = now - WINDOW - _SECOND
    return replace(
        window,
        seconds={key: second for key, second in window.seconds.items() if key[1] >= oldest},
        written={key: said for key, said in window.written.items() if key[1] >= oldest},
    )
