"""What is in flight and up to when the ledger is complete, from the edges' heartbeats.

An edge speaks through its newest open source. Alive and empty is zero; an edge that is silent for
5 s, or that could not ask Envoy, makes the whole unknown; one that is silent for 10 minutes is
gone and no longer asked. A shard through which no edge speaks says just that: see ``heard``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from midstage.contracts.edges import SILENT_AFTER_S
from midstage.stats.model import Beat, Source

SILENT_AFTER = timedelta(seconds=SILENT_AFTER_S)
GONE_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Requests at a replica and waiting for one."""

    in_flight: int = 0
    pending: int = 0


Carrying = Mapping[str, Carried] | None
"""By application, those left out carry nothing; None: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the edges say through this shard; see ``contracts.load.LoadObserved``."""

    edges: int | None = None
    carrying: Carrying = None
    complete_until: datetime | None = None


def heard(sources: Sequence[Source], *, now: datetime, read_until: datetime | None) -> Heard:
    """What the sources of this shard say now.

    ``read_until``: everything that was in the shard's partitions then is in the ledger; None where
    that is not known. Only then "no edge" is knowledge, and not a shard that lags behind. A source
    that was closed with a hole holds completeness back also where no edge speaks any more.
    """
    edges = len(_speaking(sources, now))
    if edges:
        return Heard(
            edges=edges,
            carrying=carrying(sources, now=now),
            complete_until=complete_until(sources, now=now),
        )
    if read_until is None:
        return Heard()
    waits = [source for source in sources if not _settled(source) and not _gone(source, now)]
    return Heard(
        edges=0,
        complete_until=complete_until(sources, now=now) if waits else read_until,
    )


def read_until(before: datetime | None, *, lag: int | None, now: datetime) -> datetime | None:
    """When a reader that waits for ``lag`` records now had read everything; None: not known.

    ``before``: when it was last asked and waited for none. What it holds just now is committed by
    the next time, so the earlier time is the safe one.
    """
    return before if lag == 0 and before is not None and now - before <= SILENT_AFTER else None


def carrying(sources: Iterable[Source], *, now: datetime) -> Carrying:
    """What all edges together carry now."""
    beats = _speaking(sources, now)
    if not beats:
        return None
    total: dict[str, Carried] = {}
    for beat in beats:
        if beat.gauges is None or abs(now - beat.at) > SILENT_AFTER:
            return None
        for gauge in beat.gauges:
            so_far = total.get(gauge.app, Carried())
            total[gauge.app] = Carried(
                in_flight=so_far.in_flight + gauge.in_flight,
                pending=so_far.pending + gauge.pending,
            )
    return total


def complete_until(sources: Iterable[Source], *, now: datetime) -> datetime | None:
    """Every request of every edge that ended before this is in the ledger; None: unknown."""
    least: datetime | None = None
    for source in sources:
        if _settled(source) or _gone(source, now):
            continue
        if source.complete_until is None:
            return None
        least = source.complete_until if least is None else min(least, source.complete_until)
    return least


def _speaking(sources: Iterable[Source], now: datetime) -> list[Beat]:
    """The newest beat of each edge's newest source."""
    newest: dict[str, Beat] = {}
    for source in sources:
        beat = source.beat
        if beat is None or not beat.newest or source.closing or _gone(source, now):
            continue
        held = newest.get(source.edge)
        if held is None or beat.at > held.at:
            newest[source.edge] = beat
    return list(newest.values())


def _settled(source: Source) -> bool:
    return source.closing is not None and source.seen.complete(source.closing.highest)


def _gone(source: Source, now: datetime) -> bool:
    said = [said.at for said in (source.beat, source.closing) if said is not None]
    return not said or now - max(said) > GONE_AFTER
