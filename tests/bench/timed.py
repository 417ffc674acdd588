"""A log whose reader notes when its first records came: the clock of a race starts there."""

import time
from collections.abc import Callable, Mapping, Sequence

from midstage.eventlog.log import Log, Partition, Reader, Record, Run


class Timed:
    """A log whose reader notes when its first records came."""

    def __init__(self, inner: Log) -> None:
        self.begin = 0.0
        self._inner = inner
        self.writer, self.create = inner.writer, inner.create
        self.partitions, self.ends = inner.partitions, inner.ends
        self.beginnings, self.offsets_at = inner.beginnings, inner.offsets_at

    def reader(self, starts: Mapping[Partition, int]) -> Reader:
        return _First(self._inner.reader(starts), self._came)

    def _came(self) -> None:
        self.begin = time.perf_counter()


class _First:
    """A reader that says when its first records came."""

    def __init__(self, inner: Reader, came: Callable[[], None]) -> None:
        self._inner = inner
        self._came: Callable[[], None] | None = came
        self.positions = inner.positions
        self.lag = inner.lag
        self.close = inner.close

    def poll(self, *, most: int, timeout_s: float) -> Sequence[Record]:
        records = self._inner.poll(most=most, timeout_s=timeout_s)
        self._note(records)
        return records

    def runs(self, *, most: int, timeout_s: float) -> Sequence[Run]:
        runs = self._inner.runs(most=most, timeout_s=timeout_s)
        self._note(runs)
        return runs

    def _note(self, came: Sequence[object]) -> None:
        if came and self._came is not None:
            self._came()
            self._came = None
