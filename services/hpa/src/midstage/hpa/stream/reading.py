"""Opens the streams so far back as an evaluation can look, and says when all is folded.

Cluster: the inventory to its end, then the stream from some minutes before, so that nothing is
missed and all that the inventory says stands in the stream before the goal; the fold takes a fact
once. Load, signals and evaluations: from before the longest window. Peaks: all that are held. So a
service that begins late folds the same inputs as one that read everything.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from midstage.contracts.topics import Topic
from midstage.eventlog.log import BEGINNING, Log, Partition, Reader
from midstage.hpa.stream.folding import Folding, Topics

LOAD_BACK: Final = timedelta(minutes=15)
SIGNALS_BACK: Final = timedelta(minutes=15)
CLUSTER_BACK: Final = timedelta(minutes=5)
EVALUATIONS_BACK: Final = timedelta(minutes=65)
PEAKS_BACK: Final = timedelta(days=16)
MOST: Final = 2_000
_POLL_S: Final = 0.2


class Opening:
    """Where to read from."""

    def __init__(self, *, log: Log, topics: Topics, now: Callable[[], datetime]) -> None:
        """Connect nothing yet."""
        self._log = log
        self._topics = topics
        self._now = now

    def opened(
        self, folding: Folding, stop: threading.Event
    ) -> tuple[Reader, Mapping[Partition, int]] | None:
        """The reader of the streams and its goal; None when told to stop.

        UnavailableError while a topic is missing or the broker can't be asked.
        """
        starts = self._starts()
        if not self._folded(folding, stop):
            return None
        goal = self._log.ends(starts)  # after the inventory, so all it says is before it
        reader = self._log.reader(starts)
        folding.begin(starts)
        return reader, goal

    def _starts(self) -> dict[Partition, int]:
        topics, now = self._topics, self._now()
        return {
            **self._at(topics.load, now - LOAD_BACK),
            **self._at(topics.signals, now - SIGNALS_BACK),
            **self._at(topics.cluster, now - CLUSTER_BACK),
            **self._at(topics.evaluations, now - EVALUATIONS_BACK),
            **self._log.beginnings(self._log.partitions(topics.peaks.name)),
        }

    def _at(self, topic: Topic, at: datetime) -> Mapping[Partition, int]:
        return self._log.offsets_at(self._log.partitions(topic.name), at)

    def _folded(self, folding: Folding, stop: threading.Event) -> bool:
        places = self._log.partitions(self._topics.inventory.name)
        ends = self._log.ends(places)
        reader = self._log.reader(dict.fromkeys(places, BEGINNING))
        try:
            while any(reader.positions()[place] < end for place, end in ends.items()):
                if stop.is_set():
                    return False
                for record in reader.poll(most=MOST, timeout_s=_POLL_S):
                    folding.fold(record)
        finally:
            reader.close()
        return True
