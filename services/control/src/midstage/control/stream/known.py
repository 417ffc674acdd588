"""What the inventory topic says now, and what others still say of a cluster that is ours.

The fold is of the inventory alone, not of the stream: only what stands there needs not be written
again. Whoever holds a cluster's lease also hears of every late fact of a lower epoch, in either
topic. Readers may have taken it, and compaction keeps it in place of a newer one, so it is
answered: ``decide.answered``.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from midstage.contracts.cluster import ClusterFact, ObjectGone
from midstage.contracts.fact import Event, Fact
from midstage.contracts.inventory import Inventory, Living, key_of_fact
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoders
from midstage.eventlog.current import Current, Since
from midstage.eventlog.log import Log, Record

Spoken = Living | ObjectGone


class Known:
    """The fold of the inventory topic; ``loop`` keeps it current and is a loop of the process."""

    def __init__(self, *, log: Log, topic: Topic, monotonic: Callable[[], float]) -> None:
        """Connect nothing yet."""
        self._inventory = Inventory()
        self._lock = threading.Lock()
        self._ours: dict[str, int] = {}
        self._late: defaultdict[str, dict[str, Spoken]] = defaultdict(dict)
        self.loop = Current(
            name="inventory",
            log=log,
            stream=topic,
            read=Decoders(topic),
            since=Since.OLDEST,
            apply=self._apply,
            monotonic=monotonic,
        )

    def taken_over(self, cluster: str, *, epoch: int, within_s: float) -> tuple[Inventory, int]:
        """All that was written of a cluster up to now, and the highest epoch in it.

        From now on facts below ``epoch`` are late. UnavailableError: it was not read in time.
        """
        with self._lock:
            self._ours[cluster] = epoch
        self.loop.wait_for_all(within_s)
        with self.loop.changed, self._lock:
            self._late.pop(cluster, None)
            held = Inventory(self._inventory.objects(cluster))
            return held, self._inventory.epoch(cluster)

    def given_up(self, cluster: str) -> None:
        """Another one holds the lease: what is late is not ours to answer."""
        with self._lock:
            self._ours.pop(cluster, None)
            self._late.pop(cluster, None)

    def buried(self, cluster: str, *, before: datetime) -> Sequence[ObjectGone]:
        """What was gone before then and still stands in the topic, as far as it is remembered."""
        with self.loop.changed:
            return self._inventory.gone(cluster, before=before)

    def forget(self, facts: Iterable[ObjectGone]) -> None:
        """Nothing stands under their keys any more."""
        with self.loop.changed:
            for fact in facts:
                self._inventory.forget(fact)

    def late(self, cluster: str) -> Mapping[str, Spoken]:
        """The late facts by key that were not answered yet, of each key the newest."""
        with self._lock:
            return dict(self._late.get(cluster, {}))

    def answered(self, cluster: str, late: Mapping[str, Spoken]) -> None:
        """The log has the answers to those; what has come in their place since has none."""
        with self._lock:
            left = self._late.get(cluster, {})
            for key, fact in late.items():
                if left.get(key) is fact:
                    del left[key]

    def hear(self, fact: ClusterFact) -> None:
        """A fact stands in one of the topics."""
        if not isinstance(fact, Spoken):
            return
        with self._lock:
            if fact.epoch < self._ours.get(fact.cluster, 0):
                self._late[fact.cluster][key_of_fact(fact)] = fact

    def _apply(self, event: Event[Fact], _record: Record) -> None:
        fact = event.data
        assert isinstance(fact, ClusterFact)  # the topic has no others
        self._inventory.apply(fact)
        self.hear(fact)
