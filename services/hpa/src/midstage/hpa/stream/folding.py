"""Records of the streams become the world, with the offsets that say how far.

The same for the live service and for the replay. A record that can't be read changes nothing, for
each reader alike; its offset passes. Nor does an evaluation by a process whose partition another
one has evaluated since in a higher epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from midstage.contracts import topics
from midstage.contracts.cluster import (
    ClusterReached,
    ClusterUnreachable,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    PodObserved,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
)
from midstage.contracts.errors import UnreadableError
from midstage.contracts.load import LoadObserved
from midstage.contracts.peaks import PeaksObserved
from midstage.contracts.scaling import EvaluationMade
from midstage.contracts.signals import SignalObserved
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Partition, Record
from midstage.hpa.views.world import World

_CLUSTER = (
    *(NodeObserved, PodObserved, WorkloadObserved, ObjectGone, PodUsed, NodeUsed),
    *(QuotaUsed, ClusterReached, ClusterUnreachable),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What hpa reads and writes; tests give topics of their own."""

    load: Topic = topics.LOAD
    signals: Topic = topics.SIGNALS
    cluster: Topic = topics.CLUSTER
    inventory: Topic = topics.INVENTORY
    evaluations: Topic = topics.EVALUATIONS
    apps: Topic = topics.APPS
    scaling: Topic = topics.SCALING
    alarms: Topic = topics.ALARMS
    peaks: Topic = topics.PEAKS
    audit: Topic = topics.AUDIT
    members: Topic = topics.MEMBERS

    @property
    def streams(self) -> tuple[Topic, ...]:
        """Those that are folded by offset; the versioned logs are folded by version."""
        return self.load, self.signals, self.cluster, self.evaluations, self.peaks


Heard = LoadObserved | SignalObserved | EvaluationMade | None
"""What a record said that concerns one application at once."""


class Folding:
    """A world and where it stands; not for two threads at once."""

    def __init__(
        self, names: Topics, *, unreadable: Callable[[Record, str], None] = lambda _r, _w: None
    ) -> None:
        """Stand before the first record of every partition."""
        self.world = World()
        self._positions: dict[Partition, int] = {}
        self._epochs: dict[Partition, int] = {}
        self._readers = {each.name: Decoder(each) for each in (*names.streams, names.inventory)}
        self._inventory = names.inventory.name
        self._unreadable = unreadable

    def begin(self, starts: Mapping[Partition, int]) -> None:
        """Stand at ``starts``."""
        self._positions = dict(starts)

    def fold(self, record: Record) -> Heard:
        """Take in the next record of its partition."""
        place = record.partition
        if place.topic != self._inventory:
            self._positions[place] = record.offset + 1
        elif record.value is None:
            return None  # compaction's mark: the key is gone
        try:
            event = self._readers[place.topic](record)
        except UnreadableError as e:
            self._unreadable(record, str(e))
            return None
        if isinstance(event.data, EvaluationMade) and not self._counts(event.data, place):
            return None
        return self._applied(event.data, datetime.fromtimestamp(record.timestamp_ms / 1000, UTC))

    def reached(self, goal: Mapping[Partition, int]) -> bool:
        """Whether everything before ``goal`` is folded."""
        return all(self._positions.get(place, 0) >= end for place, end in goal.items())

    def offsets(self) -> dict[str, int]:
        """The next offset of each partition of which anything was read, in one order always."""
        at = sorted(self._positions.items(), key=lambda each: (each[0].topic, each[0].number))
        return {f"{place.topic}/{place.number}": offset for place, offset in at if offset}

    def _counts(self, made: EvaluationMade, place: Partition) -> bool:
        epoch = made.epoch or 0
        newest = self._epochs[place] = max(epoch, self._epochs.get(place, 0))
        return epoch == newest

    def _applied(self, fact: object, at: datetime) -> Heard:
        match fact:
            case LoadObserved():
                return fact if self.world.load(fact, at) else None
            case SignalObserved():
                return fact if self.world.signal(fact, at) else None
            case EvaluationMade():
                self.world.evaluated(fact, at)
                return fact
            case PeaksObserved():
                self.world.peaks(fact, at)
            case _ if isinstance(fact, _CLUSTER):
                self.world.cluster(fact)
        return None
