"""What stands in partitions up to given ends, read once, without a group: for folds of the past."""

from collections.abc import Iterator, Mapping
from typing import Final

from midstage.eventlog.log import BEGINNING, Log, Partition, Record

MOST: Final = 2_000
_POLL_S: Final = 0.2


def standing(log: Log, topic: str) -> Iterator[Record]:
    """All that the topic holds now; UnavailableError when the log can't be asked."""
    places = log.partitions(topic)
    return between(log, dict.fromkeys(places, BEGINNING), log.ends(places))


def between(
    log: Log, starts: Mapping[Partition, int], ends: Mapping[Partition, int]
) -> Iterator[Record]:
    """The records from ``starts`` on and before ``ends``, in order within each partition."""
    reader = log.reader(starts)
    try:
        while any(reader.positions()[place] < ends[place] for place in starts):
            for record in reader.poll(most=MOST, timeout_s=_POLL_S):
                if record.offset < ends[record.partition]:
                    yield record
    finally:
        reader.close()
