"""Finds the evaluation of an application that was in force at some time, in the log.

The stream is kept for days and has one every few seconds, so the search begins shortly before the
time asked for and goes further back only where it finds nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from midstage.contracts.errors import UnreadableError
from midstage.contracts.scaling import EvaluationMade
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Log, Partition, Record
from midstage.eventlog.murmur2 import partition_of

_BACK: Final = (timedelta(seconds=30), timedelta(minutes=10), timedelta(days=8))
_WRITTEN_WITHIN: Final = timedelta(seconds=30)
_EPOCH: Final = datetime(1971, 1, 1, tzinfo=UTC)
_MOST: Final = 500
_POLL_S: Final = 1.0


class Past:
    """Reads the stream of evaluations on demand; any number of threads may ask."""

    def __init__(self, *, log: Log, topic: Topic, now: Callable[[], datetime]) -> None:
        """Connect nothing yet."""
        self._log = log
        self._now = now
        self._topic = topic
        self._decoder = Decoder(topic)

    def at(self, app: str, time: datetime) -> EvaluationMade | None:
        """The last evaluation made at ``time`` or before; None where none is kept."""
        places = self._log.partitions(self._topic.name)
        place = places[partition_of(app.encode(), len(places))]
        time = min(time, self._now() + _WRITTEN_WITHIN)
        if time < _EPOCH:
            return None
        for back in _BACK:
            found = self._last(app, place, time - back, time)
            if found is not None:
                return found
        return None

    def _last(
        self, app: str, place: Partition, begin: datetime, time: datetime
    ) -> EvaluationMade | None:
        end = self._log.ends([place])[place]
        start = self._log.offsets_at([place], begin)[place]
        late_ms = (time + _WRITTEN_WITHIN).timestamp() * 1000
        found: EvaluationMade | None = None
        reader = self._log.reader({place: start})
        try:
            while reader.positions()[place] < end:
                for record in reader.poll(most=_MOST, timeout_s=_POLL_S):
                    if record.timestamp_ms > late_ms:
                        return found
                    made = self._made(record)
                    if made is not None and made.app == app and _later(made, found, time):
                        found = made
        finally:
            reader.close()
        return found

    def _made(self, record: Record) -> EvaluationMade | None:
        try:
            fact = self._decoder(record).data
        except UnreadableError:
            return None
        return fact if isinstance(fact, EvaluationMade) else None


def _later(made: EvaluationMade, found: EvaluationMade | None, time: datetime) -> bool:
    """Whether it takes the place of ``found``: of a higher epoch, or the same and not older."""
    if made.evaluation.inputs.now > time:
        return False
    return found is None or _rank(made) >= _rank(found)


def _rank(made: EvaluationMade) -> tuple[int, datetime]:
    return made.epoch or 0, made.evaluation.inputs.now
