"""The tellers of one shard, put together from what its ledger holds at the start."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from midstage.contracts.topics import Topic
from midstage.stats.model import Flags, Longs, Rows, Source
from midstage.stats.stream import usages
from midstage.stats.stream.counting import Ledger
from midstage.stats.stream.loads import Edges, Loads, told_until, version_mark
from midstage.stats.stream.outbox import Telling
from midstage.stats.stream.usages import Usages, mark_of
from midstage.stats.views.load import WINDOW, absorbed, begin, resumed
from midstage.stats.views.seconds import near, seconds
from midstage.stats.views.shards import Shard
from midstage.stats.views.usage_facts import Cell, Changed, Mark


class Recent(Protocol):
    """Requests with the columns that load is made of, and the commit of each."""

    @property
    def rows(self) -> Rows:
        """The requests."""
        ...

    @property
    def versions(self) -> Longs:
        """The commit of each."""
        ...


class Books(usages.Books, Protocol):
    """What the ledger answers."""

    def version(self) -> int:
        """The last commit."""
        ...

    def recent(self, *, since: datetime, until: datetime) -> Recent:
        """The requests that ended from ``since`` to ``until``."""
        ...

    def changed(self, mark: Mark) -> Mapping[Cell, int]:
        """What ``mark`` has not told, each with the last commit that added to it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where a shard's facts go, and what they are told of."""

    load: Topic
    usage: Topic
    shard: Shard
    specified: Callable[[], Collection[str]] = frozenset
    lag: Callable[[], int | None] = lambda: None
    waiting: Callable[[], int] = lambda: 0


def telling(
    ledger: Ledger,
    *,
    books: Books,
    sources: Iterable[Source],
    told: Told,
    now: Callable[[], datetime],
) -> tuple[Telling, Loads]:
    """The ledger as counting shall see it, and the load that it tells."""
    edges = Edges(sources, lag=told.lag)
    loads = _loads(ledger, books=books, edges=edges, told=told, now=now())
    mark = mark_of(ledger.positions(), told.usage.name, now=now())
    usage = Usages(
        topic=told.usage,
        shard=told.shard,
        edges=edges,
        books=books,
        changed=Changed(books.changed(mark), mark=mark, version=books.version()),
    )
    return Telling(ledger, tellers=(loads, usage), now=now), loads


def _loads(ledger: Ledger, *, books: Books, edges: Edges, told: Told, now: datetime) -> Loads:
    """The last minute anew; what the facts before knew of it is told by their mark.

    Its first second as a whole: of a part of its requests it would have a lower revision.
    """
    since = begin(now - WINDOW)
    held, positions = books.recent(since=since, until=now + WINDOW), ledger.positions()
    known: Flags = held.versions <= positions.get(version_mark(told.load.name), 0)
    inside = near(held.rows, now=now, within=now - since)
    window = resumed(
        seconds(held.rows, inside & known),
        written_until=told_until(positions, told.load.name),
        now=now,
    )
    return Loads(
        topic=told.load,
        shard=told.shard,
        edges=edges,
        window=absorbed(window, seconds(held.rows, inside & ~known), now=now),
        version=books.version(),
        specified=told.specified,
        waiting=told.waiting,
    )
