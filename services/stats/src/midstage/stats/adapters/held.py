"""Whether events are in the ledger of the shard that counts them, which may be another one.

Asked for the sender's information alone, so it makes nobody wait for long and fails nothing: a
shard that does not answer at once is left alone for a while, and of its events it is not known.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.fact import Event, Fact
from midstage.eventlog.murmur2 import partition_of
from midstage.stats.decide import hashed
from midstage.stats.views.held import HeldAnswer, HeldQuery
from midstage.stats.views.shards import owner

LEFT_ALONE_S = 5.0
"""Else each body would wait for a shard that is away, and take the place of one that need not."""


class Shard(Protocol):
    """One shard, this one or another."""

    def held(self, query: HeldQuery) -> HeldAnswer:
        """What it has; UnavailableError where it does not say so at once."""
        ...


class HeldAnywhere:
    """Implements ``ingest.Held`` over all shards; may be asked from any thread."""

    def __init__(
        self, *, shards: Sequence[Shard], partitions: int, monotonic: Callable[[], float]
    ) -> None:
        """``shards`` in the order of their numbers, of a topic with so many ``partitions``."""
        self._shards = shards
        self._partitions = partitions
        self._monotonic = monotonic
        self._alone_until = [float("-inf")] * len(shards)

    def __call__(self, events: Sequence[Event[Fact]]) -> Sequence[bool | None]:
        """Of each event whether it is in its ledger; None where its shard does not answer."""
        theirs = self._by_shard(events)
        found: list[bool | None] = [None] * len(events)
        for at, told in zip(theirs.values(), self._told(events, theirs), strict=True):
            for index, held in zip(at, told, strict=True):
                found[index] = held
        return found

    def _by_shard(self, events: Sequence[Event[Fact]]) -> dict[int, list[int]]:
        number_of = {
            source: owner(partition_of(source.encode(), self._partitions), of=len(self._shards))
            for source in {event.source for event in events}
        }
        theirs: dict[int, list[int]] = {}
        for at, event in enumerate(events):
            theirs.setdefault(number_of[event.source], []).append(at)
        return theirs

    def _told(
        self, events: Sequence[Event[Fact]], theirs: dict[int, list[int]]
    ) -> Iterator[Sequence[bool | None]]:
        asked = [(number, [events[at] for at in each]) for number, each in theirs.items()]
        if len(asked) < 2:
            return map(self._of_one, asked)
        with ThreadPoolExecutor(len(asked)) as threads:
            return threads.map(self._of_one, asked)

    def _of_one(self, asked: tuple[int, list[Event[Fact]]]) -> Sequence[bool | None]:
        number, events = asked
        if self._monotonic() < self._alone_until[number]:
            return [None] * len(events)
        try:
            answer = self._shards[number].held(_query(events))
        except (UnavailableError, RefusedError):  # refused: of another version, or token
            self._alone_until[number] = self._monotonic() + LEFT_ALONE_S
            return [None] * len(events)
        numbered, marks = iter(answer.numbered), iter(answer.marks)
        return [next(marks if event.seq is None else numbered) for event in events]


def _query(events: Sequence[Event[Fact]]) -> HeldQuery:
    marks = hashed((each.source, each.id) for each in events if each.seq is None)
    return HeldQuery(
        numbered=tuple((each.source, each.seq) for each in events if each.seq is not None),
        marks=marks.astype(">u8").tobytes(),
    )
