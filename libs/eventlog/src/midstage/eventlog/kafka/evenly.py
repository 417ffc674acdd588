"""Reads many partitions by several clients: who is behind is behind in all of them, none waits.

A broker fills its answer in the order in which a client asks for partitions, and a client whose
queue was full begins in the same order again (librdkafka, issue 1854). So one that is behind has
the first of its partitions in every answer and the last in none, until it has caught up. A client
of few partitions has all of them in each answer.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from midstage.eventlog.log import Partition, Reader, Record, Run

T = TypeVar("T")

_TURN_S = 0.02
"""How long one client is waited for before the next is looked at."""


class EvenReader:
    """Implements ``log.Reader`` over readers of other partitions each."""

    def __init__(
        self, readers: Sequence[Reader], *, clock_monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take of all ``readers``, and close them at the end."""
        self._readers = list(readers)
        self._monotonic = clock_monotonic
        self._failure: Exception | None = None

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        """See ``log.Reader.poll``."""
        return self._got(_RECORDS, most=most, timeout_s=timeout_s)

    def runs(self, *, most: int, timeout_s: float) -> Sequence[Run]:
        """See ``log.Reader.runs``."""
        return self._got(_RUNS, most=most, timeout_s=timeout_s)

    def positions(self) -> Mapping[Partition, int]:
        """See ``log.Reader.positions``."""
        return {place: at for reader in self._readers for place, at in reader.positions().items()}

    def lag(self) -> Mapping[Partition, int]:
        """See ``log.Reader.lag``."""
        return {place: lag for reader in self._readers for place, lag in reader.lag().items()}

    def close(self) -> None:
        """See ``log.Reader.close``."""
        for reader in self._readers:
            reader.close()

    def _got(self, way: "_Way[T]", *, most: int, timeout_s: float) -> Sequence[T]:
        """What there is by then; what went wrong behind it is raised by the next call."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        deadline, turn_s = self._monotonic() + timeout_s, 0.0
        while True:
            found = self._round(way, most=most, turn_s=turn_s)
            turn_s = min(_TURN_S, deadline - self._monotonic())
            if found or turn_s <= 0:
                return found

    def _round(self, way: "_Way[T]", *, most: int, turn_s: float) -> Sequence[T]:
        """Of each its share, then of each what room is left."""
        self._readers.append(self._readers.pop(0))  # or one at a time would be of the first alone
        found, room = list[T](), most
        try:
            for shares in (self._shares(most), [most] * len(self._readers)):
                for reader, share in zip(self._readers, shares, strict=True):
                    if room > 0:
                        taken = way.take(reader, min(share, room), 0.0 if found else turn_s)
                        found += taken
                        room -= way.size(taken)
                if not found:
                    break
        except Exception as failure:
            if not found:
                raise
            self._failure = failure
        return found

    def _shares(self, most: int) -> list[int]:
        """By how many wait for each, so that what is read is of about the same age."""
        lags = [sum(reader.lag().values()) for reader in self._readers]
        return [max(1, -(-most * lag // max(1, sum(lags)))) for lag in lags]


@dataclass(frozen=True, slots=True)
class _Way(Generic[T]):
    """How so much is taken of a reader within a time, and how many records that is."""

    take: Callable[[Reader, int, float], Sequence[T]]
    size: Callable[[Sequence[T]], int]


def _values(runs: Sequence[Run]) -> int:
    return sum(len(run.values) for run in runs)


_RECORDS: _Way[Record] = _Way(lambda reader, most, s: reader.poll(most=most, timeout_s=s), len)
_RUNS: _Way[Run] = _Way(lambda reader, most, s: reader.runs(most=most, timeout_s=s), _values)


def shared_out(places: Iterable[Partition], together: int) -> list[list[Partition]]:
    """What each client reads: at most ``together`` of a topic; other topics' go with them."""
    by_topic = defaultdict[str, list[Partition]](list)
    for place in places:
        by_topic[place.topic].append(place)
    clients = max((-(-len(of_it) // together) for of_it in by_topic.values()), default=1)
    found: list[list[Partition]] = [[] for _ in range(clients)]
    for of_it in by_topic.values():
        for n, place in enumerate(of_it):
            found[n % clients].append(place)
    return found
