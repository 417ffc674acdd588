"""What an edge says of one source: its lines as events, that it is alive, and that it has ended."""

from collections.abc import Mapping
from datetime import datetime

from midstage.contracts.edges import SOURCE_BEAT, SOURCE_CLOSED, Gauge, SourceBeat, SourceClosed
from midstage.contracts.fact import Event
from midstage.gateway.model.apps import THROTTLE_CLUSTER
from midstage.gateway.model.shipping import Load, Position

Gauges = tuple[Gauge, ...]


def gauges(loads: Mapping[str, Load]) -> Gauges:
    """What is in flight and pending for each application: every cluster but throttle's."""
    return tuple(
        Gauge(app=app, in_flight=load.in_flight, pending=load.pending)
        for app, load in sorted(loads.items())
        if app != THROTTLE_CLUSTER
    )


def beat(
    *,
    edge: str,
    source: str,
    at: datetime,
    position: Position,
    complete_until: datetime,
    newest: bool,
    seen: Gauges | None,
) -> Event[SourceBeat]:
    """The source is alive; only the edge's newest one carries the gauges."""
    return Event(
        id=f"beat/{at.isoformat()}",
        source=source,
        type=SOURCE_BEAT,
        time=at,
        data=SourceBeat(
            edge=edge,
            highest=position.number,
            complete_until=complete_until,
            newest=newest,
            gauges=seen if newest else None,
        ),
    )


def closed(
    *, edge: str, source: str, at: datetime, position: Position, torn: int
) -> Event[SourceClosed]:
    """The source has ended; ``torn`` is 1 where its last line has no end."""
    return Event(
        id="closed",
        source=source,
        type=SOURCE_CLOSED,
        time=at,
        data=SourceClosed(edge=edge, highest=position.number, torn=torn),
    )
