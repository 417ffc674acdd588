"""What the replicas of an application carried in one second, by event time.

Written by stats to ``midstage.load.v1``, keyed by application; read by hpa, alerts and gateway.
Each shard of stats sees a part; readers fold the parts with ``folded``: counts added, sketches
merged, the least completeness, and a missing shard makes the whole unknown (None). A second that
has no fact is unknown too, never zero: stats was away.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from midstage.contracts import sketch
from midstage.contracts.fact import Fact, Name
from midstage.contracts.sketch import Sketch
from midstage.contracts.units import total

LOAD_OBSERVED = "dev.midstage.load.observed.v1"


class LoadObserved(Fact, frozen=True, kw_only=True):
    """One application, the second from ``second`` on, as one shard of stats saw it.

    ``outcomes``: requests ended by outcome; ``refused`` ones never reached a replica, so they are
    no load of it. ``units``: micro-units by name, of all requests.
    ``in_flight`` and ``pending``: from the edges' heartbeats, None when unknown.
    ``complete_until``: every request that ended before it is counted here, and in the application's
    earlier seconds as they were written before this fact; None when unknown.
    ``revision`` grows when a late event changes a second that was written already.
    ``edges``: how many speak through this shard, None when unknown. A shard through which none
    speaks carries nothing, and is complete up to when it had last read all that was there for it;
    where none speaks through any shard, both are unknown.
    """

    app: Name
    second: datetime
    shard: int
    shards: int
    revision: int = 0
    complete_until: datetime | None = None
    outcomes: dict[str, int] = {}
    units: dict[str, int] = {}
    in_flight: int | None = None
    pending: int | None = None
    latency_ms: Sketch = sketch.EMPTY
    ttft_ms: Sketch = sketch.EMPTY
    edges: int | None = None


def folded(parts: Sequence[LoadObserved]) -> LoadObserved | None:
    """All shards' facts of one application and second as one; None while a shard is missing.

    Of several revisions of one shard the highest counts, so a fact seen twice changes nothing. Of
    two ways to share out the partitions the one with more shards counts.
    """
    shards = max((part.shards for part in parts), default=0)
    newest: dict[int, LoadObserved] = {}
    for part in (part for part in parts if part.shards == shards):
        known = newest.get(part.shard)
        if known is None or part.revision > known.revision:
            newest[part.shard] = part
    if not newest or not newest.keys() >= set(range(shards)):
        return None
    return _added(list(newest.values()))


def _added(parts: Sequence[LoadObserved]) -> LoadObserved:
    """A shard through which no edge speaks carries nothing; all shards together know nothing."""
    first = parts[0]
    hearing = [part for part in parts if part.edges != 0]
    return LoadObserved(
        app=first.app,
        second=first.second,
        shard=0,
        shards=1,
        revision=sum(part.revision for part in parts),
        complete_until=_least([part.complete_until for part in parts]) if hearing else None,
        outcomes=_counts([part.outcomes for part in parts]),
        units=dict(total(part.units for part in parts)),
        in_flight=_sum([part.in_flight for part in hearing]) if hearing else None,
        pending=_sum([part.pending for part in hearing]) if hearing else None,
        latency_ms=sketch.merged(*(part.latency_ms for part in parts)),
        ttft_ms=sketch.merged(*(part.ttft_ms for part in parts)),
        edges=_sum([part.edges for part in parts]),
    )


def _counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0) for part in parts) for name in names}


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _least(parts: Sequence[datetime | None]) -> datetime | None:
    known = [part for part in parts if part is not None]
    return min(known) if len(known) == len(parts) else None
