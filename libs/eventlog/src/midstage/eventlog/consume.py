"""The consumer loop: read, decode, dead letters, effect, positions, in this order, for ever.

At least once: positions move after the effect, in this module and nowhere else. A crash anywhere
gives the same chunk again, so an effect is idempotent. UnavailableError repeats the step that met
it with back-off and jitter, neither losing nor skipping; any other exception ends the loop.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Generic, Protocol, TypeVar

from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Log, Partition, Reader, Record
from midstage.eventlog.progress import Progress

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")

_POLL_S = 0.2
HEAVIEST = 50_000
"""Of what is read at once, in the measure that its reader weighs by."""
_BEHIND = 3
"""Times what a chunk has that must wait for it to get more: or it would be waited for, and one that
is a little behind would be no sooner for larger chunks, only its events older."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk(Generic[T]):
    """What is to have its effect at once: decoded records, in order within each partition.

    ``begins`` and ``ends`` name the partitions that were touched: where the last chunk ended, and
    where it stands when the effect is done. ``items`` may be empty: all were dead letters.
    """

    items: Sequence[tuple[Record, T]]
    begins: Mapping[Partition, int]
    ends: Mapping[Partition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Generic[T]):
    """A chunk whose records were read at once: ``content`` is what they all say together."""

    content: T
    begins: Mapping[Partition, int]
    ends: Mapping[Partition, int]


class ReadsWhole(Protocol[T_co]):
    """Reads many records at once; each that can't be read is handed to ``put`` with the reason."""

    def __call__(self, records: Sequence[Record], put: Callable[[Record, str], None]) -> T_co:
        """What the readable ones say together, in their order."""
        ...


def _alike(_: Record) -> int:
    return 0


class Positions(Protocol):
    """Where a reader stands: the group's offsets, or the effect's own transaction."""

    def starts(self) -> Mapping[Partition, int]:
        """The offset to read first of each partition; UnavailableError when it can't be asked."""
        ...

    def moved(self, ends: Mapping[Partition, int]) -> None:
        """The effect of everything before ``ends`` is done; nothing to do where it said so itself.

        UnavailableError is tried again with the same ``ends``.
        """
        ...


class DeadLetters(Protocol):
    """Where records go that can't be read."""

    def put(self, record: Record, reason: str) -> None:
        """Hand over a record with the reason."""
        ...

    def flush(self) -> None:
        """Return when all that was put is durable; UnavailableError when it isn't in time."""
        ...


class WholeConsumer(Generic[T]):
    """One reader of some partitions with one effect; a chassis Loop."""

    def __init__(
        self,
        *,
        name: str,
        log: Log,
        read: ReadsWhole[T],
        effect: Callable[[Whole[T]], None],
        positions: Positions,
        dead_letters: DeadLetters,
        clock_monotonic: Callable[[], float] = time.monotonic,
        most: int = 10_000,
        linger_s: float = 0.0,
        ahead: bool = False,
        weigh: Callable[[Record], int] = _alike,
        heaviest: int = HEAVIEST,
        join: Callable[[Sequence[T]], T] | None = None,
        gathered: int = 0,
        reached: Failpoint = nothing,
    ) -> None:
        """``most`` records are read at once, waited for up to ``linger_s`` after the first one.

        Where records are of very different size ``weigh`` tells of how much: more than
        ``heaviest`` together is read at another time, never less than one record at once.

        What was read at once is a chunk. While many times as much waits, or while anything waits
        and the chunk before it has its effect, ``join`` makes one chunk of several readings, until
        they are ``gathered`` records or weigh as much.

        ``ahead``: the next chunk is read while one has its effect, on a thread of its own; effects
        and positions keep their order, and after a failure no later chunk has its effect.
        """
        self.name = name
        self._ahead = ahead
        self._log = log
        self._read = read
        self._effect = effect
        self._positions = positions
        self._dead_letters = dead_letters
        self._monotonic = clock_monotonic
        self._most = most
        self._linger_s = linger_s
        self._weigh = weigh
        self._heaviest = heaviest
        self._join = join
        self._gathered = gathered
        self._waiting: Sequence[Record] = ()
        self._weights: Sequence[int] = ()
        self._size = 0
        self._each = 1.0
        self._reached = reached
        self._progress = Progress(clock_monotonic)
        self._lag = 0
        self._broken = threading.Event()
        self._before: Future[bool] | None = None
        self._at: Mapping[Partition, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Consume until ``stop`` is set; raises what is neither unreadable nor unavailable."""
        reader: Reader | None = None
        try:
            reader = self._tried(self._opened, stop)
            self._at = {} if reader is None else reader.positions()
            if reader is not None and self._ahead:
                self._go_ahead(reader, stop)
            while reader is not None and not stop.is_set():
                chunk = self._next(reader, stop)
                if chunk is not None:
                    self._finish(chunk, stop)
        finally:
            self._progress.ended()
            if reader is not None:
                reader.close()

    def progress(self) -> str | None:
        """None while it makes progress, else why not: for readiness."""
        return self._progress.reason()

    def lag(self) -> int:
        """Records that wait at the broker, as last heard."""
        return self._lag

    def waiting(self) -> int:
        """The same by weight: about as if each were what those read last are on average."""
        return int(self._lag * self._each)

    def _opened(self) -> Reader:
        return self._log.reader(self._positions.starts())

    def _go_ahead(self, reader: Reader, stop: threading.Event) -> None:
        """One chunk has its effect, the next one is read, none is between them."""
        with ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-effect") as thread:
            while not stop.is_set():
                chunk = self._next(reader, stop)
                if self._before is not None and not self._before.result():
                    return  # told to stop before its effect was done: nothing may follow it
                self._before = None if chunk is None else thread.submit(self._behind, chunk, stop)
            if self._before is not None:
                self._before.result()

    def _behind(self, chunk: Whole[T], stop: threading.Event) -> bool:
        with ExitStack() as failed:
            failed.callback(self._broken.set)  # or a reader that waits for its broker waits on
            done = self._finish(chunk, stop)
            failed.pop_all()
        return done

    def _next(self, reader: Reader, stop: threading.Event) -> Whole[T] | None:
        """The next chunk, its dead letters durable; None when there is none or told to stop."""
        records = self._tried(lambda: self._taken(reader, self._linger_s), stop)
        self._lag = sum(reader.lag().values())
        if not records:
            if records is not None:
                self._progress.came_round(lag=self._lag)
            return None
        self._progress.has_records()
        content = self._whole(reader, records, stop)
        self._reached("consume:decoded")
        now_at = {**reader.positions(), **_first_offsets(self._waiting)}
        chunk = _chunk(content, self._at, now_at)
        if not self._done(self._dead_letters.flush, stop):
            return None
        self._at = now_at
        return chunk

    def _whole(self, reader: Reader, records: Sequence[Record], stop: threading.Event) -> T:
        """What ``records`` say, and what follows them where that is to be one chunk with them."""
        content = self._read(records, self._dead_letters.put)
        if self._join is None:
            return content
        parts, size, read = [content], self._size, len(records)
        while size < self._gathered and (records := self._more(reader, read, stop)):
            self._progress.went_on()
            parts.append(self._read(records, self._dead_letters.put))
            size += self._size
            read += len(records)
        return self._join(parts)

    def _more(self, reader: Reader, read: int, stop: threading.Event) -> Sequence[Record]:
        """What is one chunk with the ``read`` records before it; nothing: the chunk is whole.

        While the one before it has its effect, it takes what is there, and waits for nothing.
        """
        waits = len(self._waiting) + sum(reader.lag().values())
        is_much = waits > _BEHIND * read
        if not is_much and not (waits and self._before_is_under_way()):
            return ()
        if stop.is_set() or self._broken.is_set():
            return ()
        try:
            return self._taken(reader, self._linger_s if is_much else 0.0)
        except UnavailableError:
            return ()  # what was read has its effect first; the next poll meets it again

    def _before_is_under_way(self) -> bool:
        return self._before is not None and not self._before.done()

    def _finish(self, chunk: Whole[T], stop: threading.Event) -> bool:
        """The effect and its positions; False when told to stop: then the chunk comes again."""
        steps: tuple[Callable[[], object], ...] = (
            lambda: self._effect(chunk),
            lambda: self._reached("consume:effect-done"),
            lambda: self._positions.moved(chunk.ends),
        )
        for step in steps:
            if not self._done(step, stop):
                return False
        self._progress.moved()
        return True

    def _taken(self, reader: Reader, linger_s: float) -> Sequence[Record]:
        records, weights = self._waiting, self._weights
        if not records:
            records, weights = self._polled(reader, linger_s)
        fitting = len(weights)
        if not self._light(sum(weights)):
            fitting = max(1, sum(1 for _ in takewhile(self._light, accumulate(weights))))
        self._waiting, self._weights = records[fitting:], weights[fitting:]
        self._size = max(len(records[:fitting]), sum(weights[:fitting]))
        return records[:fitting]

    def _polled(self, reader: Reader, linger_s: float) -> tuple[Sequence[Record], Sequence[int]]:
        """Records, and what each weighs: waited for as long as more would fit."""
        taken = list(reader.poll(most=self._most, timeout_s=_POLL_S))
        weights = list(map(self._weigh, taken))
        weight = sum(weights)
        deadline = self._monotonic() + linger_s
        while taken and len(taken) < self._most and self._light(weight):
            if (left_s := deadline - self._monotonic()) <= 0:
                break
            try:
                more = reader.poll(most=self._most - len(taken), timeout_s=left_s)
            except UnavailableError:
                break  # what was taken has its effect first; the next poll meets it again
            taken += more
            weights += (fresh := list(map(self._weigh, more)))
            weight += sum(fresh)
        if taken:
            self._each = max(1.0, weight / len(taken))
        return taken, weights

    def _light(self, weight: int) -> bool:
        return weight <= self._heaviest

    def _done(self, step: Callable[[], object], stop: threading.Event) -> bool:
        def whole() -> bool:
            step()
            return True

        return self._tried(whole, stop) is not None

    def _tried(self, step: Callable[[], V], stop: threading.Event) -> V | None:
        """What ``step`` returns, tried until it is available; None when told to stop before."""
        backoff = Backoff()
        while not (stop.is_set() or self._broken.is_set()):
            try:
                return step()
            except UnavailableError as e:
                self._progress.backs_off(str(e))
                backoff.wait(stop)
        return None


def _chunk(content: T, begins: Mapping[Partition, int], ends: Mapping[Partition, int]) -> Whole[T]:
    """The chunk between these positions, with those alone that moved."""
    touched = [place for place, at in ends.items() if at != begins[place]]
    return Whole(
        content=content,
        begins={place: begins[place] for place in touched},
        ends={place: ends[place] for place in touched},
    )


def _first_offsets(records: Sequence[Record]) -> Mapping[Partition, int]:
    return {record.partition: record.offset for record in reversed(records)}


class Consumer(Generic[T]):
    """A consumer that reads record by record."""

    def __init__(
        self,
        *,
        name: str,
        log: Log,
        read: Callable[[Record], T],
        effect: Callable[[Chunk[T]], None],
        positions: Positions,
        dead_letters: DeadLetters,
        clock_monotonic: Callable[[], float] = time.monotonic,
        most: int = 10_000,
        linger_s: float = 0.0,
        weigh: Callable[[Record], int] = _alike,
        reached: Failpoint = nothing,
    ) -> None:
        """As ``WholeConsumer``."""
        self.name = name
        whole: WholeConsumer[Items[T]] = WholeConsumer(
            name=name,
            log=log,
            read=_each(read),
            effect=lambda chunk: effect(
                Chunk(items=chunk.content, begins=chunk.begins, ends=chunk.ends)
            ),
            positions=positions,
            dead_letters=dead_letters,
            clock_monotonic=clock_monotonic,
            most=most,
            linger_s=linger_s,
            weigh=weigh,
            reached=reached,
        )
        self.run, self.progress, self.lag = whole.run, whole.progress, whole.lag


Items = Sequence[tuple[Record, T]]


def _each(read: Callable[[Record], T]) -> ReadsWhole[Items[T]]:
    def items(records: Sequence[Record], put: Callable[[Record, str], None]) -> Items[T]:
        found: list[tuple[Record, T]] = []
        for record in records:
            try:
                found.append((record, read(record)))
            except UnreadableError as e:
                put(record, str(e))
        return found

    return items
