"""The load of each application in each second of event time, as facts with revisions.

A second is written soon after it ends, zeros too, and again when late events changed it, for a
minute. Its revision is the number of its requests: it grows with each late event, and after a
restart the same rows give the same revision, so nothing is written twice in two ways. What shall
run has a fact each second from its spec on, before its first request and after its last.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved
from midstage.stats.views.gauges import GONE_AFTER, Carried, Heard
from midstage.stats.views.seconds import Key, Second
from midstage.stats.views.shards import ALONE, Shard
from midstage.stats.views.units import bounded

WINDOW = timedelta(seconds=60)
"""How long a late event still changes what was written; later ones are in usage only."""
SETTLING = timedelta(milliseconds=500)
MOST_APPS = 2_000
"""Made-up names in events must not cost a fact a second each; usage counts them all the same."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the last fact of a second said that its requests don't: revision and gauges."""

    revision: int
    carried: Carried | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The last minute: its seconds, what was written of them, and when each app was last seen.

    All seconds before ``written_until`` were written, of every application then known.
    """

    seconds: Mapping[Key, Second] = field(default_factory=dict)
    written: Mapping[Key, Written] = field(default_factory=dict)
    apps: Mapping[str, datetime] = field(default_factory=dict)
    written_until: datetime | None = None


def resumed(said: Mapping[Key, Second], *, written_until: datetime | None, now: datetime) -> Window:
    """The window after a restart: ``said`` are the requests that the facts before it knew of.

    What they said of gauges is not known any more.
    """
    window = replace(absorbed(Window(), said, now=now), written_until=written_until)
    if written_until is None:
        return window
    return replace(
        window,
        written={
            key: Written(revision=second.requests, carried=None)
            for key, second in window.seconds.items()
            if key[1] < written_until
        },
    )


def absorbed(window: Window, arrived: Mapping[Key, Second], *, now: datetime) -> Window:
    """The window with these requests of the minute around ``now``."""
    named = _named(window, {app for app, _ in arrived})
    recent = {key: more for key, more in arrived.items() if key[0] in named}
    if not recent:
        return window
    seconds = dict(window.seconds)
    for key, more in recent.items():
        held = seconds.get(key)
        seconds[key] = more if held is None else held.with_more(more)
    apps = {**window.apps, **{app: now for app, _ in recent}}
    return replace(window, seconds=seconds, apps=apps)


def due(
    window: Window,
    *,
    now: datetime,
    heard: Heard,
    specified: Collection[str] = (),
    shard: Shard = ALONE,
) -> tuple[Window, tuple[LoadObserved, ...]]:
    """The facts to write now, oldest first, and the window after that.

    ``specified`` applications have one each second, as those that edges name.
    """
    last = begin(now - SETTLING) - _SECOND
    apps = {**window.apps, **dict.fromkeys((*(heard.carrying or ()), *specified), now)}
    kept = {app: seen for app, seen in apps.items() if now - seen <= GONE_AFTER}
    keys = {key for key in window.seconds if key[1] <= last}
    if window.written_until is None or last >= window.written_until:
        keys |= {(app, last) for app in kept}
    written = dict(window.written)
    facts: list[LoadObserved] = []
    for key in sorted(keys, key=lambda key: (key[1], key[0])):
        second = window.seconds.get(key, Second())
        before = written.get(key)
        if before is not None and before.revision == second.requests:
            continue
        gauges = before.carried if before else _carried(key, last, heard)
        written[key] = Written(revision=second.requests, carried=gauges)
        facts.append(_fact(key, second, gauges, heard, shard))
    until = max(window.written_until or last, last + _SECOND)
    after = Window(seconds=window.seconds, written=written, apps=kept, written_until=until)
    return _trimmed(after, now), tuple(facts)


def begin(time: datetime) -> datetime:
    """The begin of the second in which ``time`` lies."""
    return time.replace(microsecond=0)


def _named(window: Window, apps: Iterable[str]) -> frozenset[str]:
    """The applications that have a load: those known, and new ones as long as there is room."""
    fresh = sorted(set(apps) - window.apps.keys())
    return frozenset([*window.apps, *fresh[: max(0, MOST_APPS - len(window.apps))]])


def _carried(key: Key, last: datetime, heard: Heard) -> Carried | None:
    """The gauges are of now: they say nothing of a second that is long over."""
    if heard.carrying is None or key[1] != last:
        return None
    return heard.carrying.get(key[0], Carried())


def _fact(
    key: Key, second: Second, carried: Carried | None, heard: Heard, shard: Shard
) -> LoadObserved:
    return LoadObserved(
        app=key[0],
        second=key[1],
        shard=shard.number,
        shards=shard.of,
        revision=second.requests,
        complete_until=heard.complete_until,
        outcomes=dict(second.outcomes),
        units=bounded(second.units),
        in_flight=carried.in_flight if carried else None,
        pending=carried.pending if carried else None,
        latency_ms=sketch.packed(sketch.merged(*second.latency_ms)),
        ttft_ms=sketch.packed(sketch.merged(*second.ttft_ms)),
        edges=heard.edges,
    )


def _trimmed(window: Window, now: datetime) -> Window:
    oldest = now - WINDOW - _SECOND
    return replace(
        window,
        seconds={key: second for key, second in window.seconds.items() if key[1] >= oldest},
        written={key: said for key, said in window.written.items() if key[1] >= oldest},
    )
