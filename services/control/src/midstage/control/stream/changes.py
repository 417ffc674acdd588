"""The stream of changes for one listener, from any place in the log on: each exactly once.

Each listener has a reader of its own, so going on from a place misses nothing and doubles nothing,
whichever process answers. The order is that of each object; objects are mixed as they come.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from midstage.contracts.cluster import ClusterFact
from midstage.contracts.errors import UnreadableError
from midstage.contracts.topics import Topic
from midstage.control.model import Happened, Position, Told
from midstage.control.views.places import Filter, position, within
from midstage.eventlog.codec import Decoder, encode
from midstage.eventlog.log import Log, Partition, Reader, Record

ALIVE_EACH_S = 5.0
_LOOKED_BACK = 2000  # records of each partition, for the last few changes
_POLL_S = 0.2
_MOST = 500


class Changes:
    """Opens listeners on the stream; any number of threads may."""

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        monotonic: Callable[[], float],
        stopping: Callable[[], bool],
    ) -> None:
        """Connect nothing yet."""
        self._log = log
        self._topic = topic
        self._read = Decoder(topic)
        self._monotonic = monotonic
        self._stopping = stopping

    def listen(
        self, wanted: Filter, *, after: str | None, tail: int, follow: bool
    ) -> Iterator[Told]:
        """The changes ``after`` an id, or the last ``tail`` of those lately; then, if it shall
        ``follow``, those that come, with a sign of life each 5 s.

        RefusedError at once where the id is none, or what followed it is not held any more.
        """
        places = self._log.partitions(self._topic.name)
        ends, oldest = self._log.ends(places), self._log.beginnings(places)
        at_end = tuple(ends[place] for place in places)
        first = tuple(oldest[place] for place in places)
        if after is not None:
            asked = position(after, partitions=len(places))
            start = within(asked, oldest=first, ends=at_end)
            return self._told(places, wanted, start, until=None if follow else at_end)
        return self._latest(
            places, wanted, tail=tail, first=first, at_end=Position(offsets=at_end), follow=follow
        )

    def _latest(
        self,
        places: Sequence[Partition],
        wanted: Filter,
        *,
        tail: int,
        first: Sequence[int],
        at_end: Position,
        follow: bool,
    ) -> Iterator[Told]:
        """The last ones by time; only the very last says where to go on."""
        if tail:
            back = tuple(
                max(oldest, end - _LOOKED_BACK)
                for oldest, end in zip(first, at_end.offsets, strict=True)
            )
            lately = self._told(places, wanted, Position(offsets=back), until=at_end.offsets)
            found = [told.happened for told in lately if told.happened is not None]
            found.sort(key=lambda happened: (happened.at, happened.fact.resource_version))
            for happened in found[-tail:]:
                yield Told(happened=happened, place=None)
        yield Told(happened=None, place=at_end)
        if follow:
            yield from self._told(places, wanted, at_end, until=None)

    def _told(
        self,
        places: Sequence[Partition],
        wanted: Filter,
        start: Position,
        *,
        until: Sequence[int] | None,
    ) -> Iterator[Told]:
        reader = self._log.reader(dict(zip(places, start.offsets, strict=True)))
        try:
            yield from self._of(reader, places, wanted, list(start.offsets), until)
        finally:
            reader.close()

    def _of(
        self,
        reader: Reader,
        places: Sequence[Partition],
        wanted: Filter,
        at: list[int],
        until: Sequence[int] | None,
    ) -> Iterator[Told]:
        alive_at = self._monotonic()
        while not self._stopping():
            if until is not None and _all_read(reader.positions(), places, until):
                yield Told(happened=None, place=Position(offsets=tuple(at)))
                return
            for record in reader.poll(most=_MOST, timeout_s=_POLL_S):
                at[record.partition.number] = record.offset + 1
                if until is not None and record.offset >= until[record.partition.number]:
                    continue  # came after the question
                happened = self._happened(record)
                if happened is not None and wanted.matches(happened.fact):
                    yield Told(happened=happened, place=Position(offsets=tuple(at)))
                    alive_at = self._monotonic()
            if self._monotonic() - alive_at >= ALIVE_EACH_S:
                yield Told(happened=None, place=Position(offsets=tuple(at)))
                alive_at = self._monotonic()

    def _happened(self, record: Record) -> Happened | None:
        try:
            event = self._read(record)
        except UnreadableError:
            return None  # the view's loop has named it in the logs
        assert isinstance(event.data, ClusterFact)  # the topic has no others
        return Happened(type=event.type, at=event.time, fact=event.data, text=encode(event))


def _all_read(
    positions: Mapping[Partition, int], places: Sequence[Partition], until: Sequence[int]
) -> bool:
    return all(positions[place] >= end for place, end in zip(places, until, strict=True))
