"""The newest records of some partitions, read backwards: a window, then the one before it.

It looks for so long and at so many records, and says where to go on: whoever wrote how much, it
ends. In memory is what is kept of a record, and what a reader holds. No group reads, so nobody's
position moves. In a partition the newest is the last one, between partitions the broker's time
decides.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Generic, TypeVar

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import GapError, Log, Partition, Record

T = TypeVar("T")

_POLL_S = 0.2
_AT_ONCE = 50
_FIRST_WINDOW = 8
_LARGEST_WINDOW = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one look may cost; a window that could be larger than its bytes is made smaller."""

    records: int = 20_000
    within_s: float = 5.0
    window_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest(Generic[T]):
    """What was found, the newest first, and of each partition below which offset to go on.

    A partition of which nothing is left is not in ``below``; ``looked_at`` counts records.
    """

    items: Sequence[T]
    below: Mapping[Partition, int]
    looked_at: int


@dataclass(slots=True, kw_only=True)
class _Kept(Generic[T]):
    offset: int
    timestamp_ms: float
    item: T


@dataclass(slots=True, kw_only=True)
class _Side(Generic[T]):
    """One partition: from ``top`` on all was looked at, down to ``floor`` it may be."""

    place: Partition
    floor: int
    top: int
    kept: list[_Kept[T]] = field(default_factory=list)
    oldest_ms: float = math.inf
    window: int = _FIRST_WINDOW
    dropped: bool = False

    @property
    def begin(self) -> int:
        """Where its next window begins."""
        return max(self.floor, self.top - self.window)

    def below(self, shown: int) -> int:
        """Below which offset to go on where so many are shown."""
        if shown < len(self.kept):
            return self.kept[shown].offset + 1
        return self.kept[-1].offset if self.dropped else self.top


class _Window(Generic[T]):
    """What is kept of one window, whose newest ``most`` are enough."""

    def __init__(self, most: int) -> None:
        self.kept: deque[_Kept[T]] = deque(maxlen=most)
        self.matching = 0
        self.records = 0
        self.bytes = 0
        self.oldest_ms = math.inf

    def add(self, record: Record, item: T | None) -> None:
        self.records += 1
        self.bytes += len(record.value or b"") + len(record.key or b"")
        self.bytes += sum(len(text) for _, text in record.headers)
        self.oldest_ms = min(self.oldest_ms, record.timestamp_ms)
        if item is not None:
            self.matching += 1
            self.kept.append(
                _Kept(offset=record.offset, timestamp_ms=record.timestamp_ms, item=item)
            )


def newest(
    log: Log,
    between: Mapping[Partition, tuple[int, int]],
    *,
    keep: Callable[[Record], T | None],
    most: int,
    bounds: Bounds | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Newest[T]:
    """The newest ``most`` of which ``keep`` makes something, from the first offset to the second.

    Fewer where there are no more, or where ``bounds`` end it. UnavailableError when the broker is
    away, or when not even the last few records could be had in time.
    """
    limits = bounds or Bounds()
    deadline = monotonic() + limits.within_s
    sides = [
        _Side[T](place=place, floor=floor, top=top)
        for place, (floor, top) in between.items()
        if top > floor
    ]
    looked_at = 0
    while looked_at < limits.records and (next_ones := _to_read(sides, most)):
        windows = _read(log, next_ones, keep, most=most, is_over=lambda: monotonic() > deadline)
        if windows is None:
            if not looked_at:
                raise UnavailableError(
                    f"not even the last of the records came within {limits.within_s:g} s; ask again"
                )
            break
        for side, window in zip(next_ones, windows, strict=True):
            _take(side, window, most, limits)
            looked_at += window.records
    return _cut(sides, most, looked_at)


def _edge(sides: Sequence[_Side[T]]) -> float:
    """Whatever is not read yet is not newer."""
    return max((side.oldest_ms for side in sides if side.top > side.floor), default=-math.inf)


def _to_read(sides: Sequence[_Side[T]], most: int) -> list[_Side[T]]:
    """Those whose next window may hold what belongs to the newest ``most``."""
    edge = _edge(sides)
    ready = sum(kept.timestamp_ms >= edge for side in sides for kept in side.kept)
    if ready >= most:
        return []
    return [side for side in sides if side.top > side.floor and side.oldest_ms >= edge]


def _read(
    log: Log,
    sides: Sequence[_Side[T]],
    keep: Callable[[Record], T | None],
    *,
    most: int,
    is_over: Callable[[], bool],
) -> list[_Window[T]] | None:
    """The next window of each; None where they could not be had in time."""
    found = {side.place: _Window[T](most) for side in sides}
    tops = {side.place: side.top for side in sides}
    try:
        with closing(log.reader({side.place: side.begin for side in sides})) as reader:
            at = reader.positions()
            while any(at[place] < top for place, top in tops.items()):
                if is_over():
                    return None
                for record in reader.poll(most=_AT_ONCE, timeout_s=_POLL_S):
                    if record.offset < tops[record.partition]:
                        found[record.partition].add(record, keep(record))
                at = reader.positions()
    except GapError as gone:
        raise UnavailableError("old records were deleted meanwhile; ask again") from gone
    return [found[side.place] for side in sides]


def _take(side: _Side[T], window: _Window[T], most: int, limits: Bounds) -> None:
    """Older ones are no newer, whatever time a clock or a forger gave them."""
    side.top = side.begin
    for kept in reversed(window.kept):
        side.oldest_ms = kept.timestamp_ms = min(side.oldest_ms, kept.timestamp_ms)
        side.kept.append(kept)
    side.dropped = side.dropped or window.matching > len(window.kept) or len(side.kept) > most
    del side.kept[most:]
    side.oldest_ms = min(side.oldest_ms, window.oldest_ms)
    each = max(1, window.bytes // max(1, window.records))
    side.window = max(1, min(limits.window_bytes // each, 4 * side.window, _LARGEST_WINDOW))


def _cut(sides: Sequence[_Side[T]], most: int, looked_at: int) -> Newest[T]:
    edge = _edge(sides)
    ordered = merge(
        *(
            [(-kept.timestamp_ms, number, kept) for kept in side.kept]
            for number, side in enumerate(sides)
        ),
        key=lambda each: each[:2],
    )
    shown = list(islice((each for each in ordered if -each[0] >= edge), most))
    of_each = [sum(number == n for _, n, _ in shown) for number in range(len(sides))]
    below = {side.place: side.below(count) for side, count in zip(sides, of_each, strict=True)}
    floors = {side.place: side.floor for side in sides}
    return Newest(
        items=[kept.item for _, _, kept in shown],
        below={place: at for place, at in below.items() if at > floors[place]},
        looked_at=looked_at,
    )
