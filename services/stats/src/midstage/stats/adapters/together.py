"""Sources, rows, load, availability, status and recounts of all shards, asked at once and added up.

A shard that does not answer is UnavailableError, which names it: what it holds is unknown, not
nothing. Only the status is answered without it, since that is where one looks for who is away.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeVar

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.load import LoadObserved
from midstage.stats.model import Source
from midstage.stats.views import availability, recount
from midstage.stats.views.availability import AvailabilityQuery, Tally
from midstage.stats.views.recount import DayRecounted, WholeRecounted
from midstage.stats.views.rows import RowsAnswer, RowsPage, RowsQuery, paged
from midstage.stats.views.status import Standing

S = TypeVar("S")
T = TypeVar("T")


class Shard(Protocol):
    """What one shard answers, this one or another."""

    def sources(self) -> Sequence[Source]:
        """Every source's state."""
        ...

    def tallies(self, query: AvailabilityQuery) -> Sequence[Tally]:
        """Good requests and errors; one more than ``MOST_TALLIES`` at most."""
        ...

    def rows(self, query: RowsQuery) -> RowsPage:
        """A page of rows."""
        ...

    def loads(self) -> Sequence[LoadObserved]:
        """What it told of the last seconds."""
        ...

    def standing(self) -> Standing:
        """How it stands."""
        ...


class Counter(Protocol):
    """One shard that counts its rows again."""

    def day(self, after: date) -> DayRecounted:
        """The first day from ``after`` on that has anything."""
        ...

    def whole(self) -> WholeRecounted:
        """What holds over all days."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """All shards, in the order of their numbers; may be asked from any thread."""

    shards: Sequence[Shard]

    def sources(self) -> Sequence[Source]:
        """Every source's state; each is in one shard."""
        return [source for part in _each(self.shards, lambda one: one.sources()) for source in part]

    def tallies(self, query: AvailabilityQuery) -> Sequence[Tally]:
        """Good requests and errors of all."""
        return availability.added(_each(self.shards, lambda one: one.tallies(query)))

    def rows(self, query: RowsQuery, *, after: str) -> RowsAnswer:
        """A page of rows behind the position ``after``."""
        return paged([one.rows for one in self.shards], query, after=after)

    def loads(self) -> Sequence[LoadObserved]:
        """What all told of the last seconds."""
        return [fact for part in _each(self.shards, lambda one: one.loads()) for fact in part]

    def standings(self) -> Mapping[int, Standing | str]:
        """How each stands by its number, or why that is not known."""
        return dict(enumerate(_each(self.shards, _standing)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TogetherRecounted:
    """Implements ``api.recount.Recount`` over all shards."""

    shards: Sequence[Counter]

    def day(self, after: date) -> DayRecounted:
        """The first day from ``after`` on of which any shard has anything, of all shards."""
        return recount.days_added(_each(self.shards, lambda one: one.day(after)))

    def whole(self) -> WholeRecounted:
        """What holds over all days of all shards."""
        return recount.wholes_added(_each(self.shards, lambda one: one.whole()))


def _each(shards: Sequence[S], ask: Callable[[S], T]) -> list[T]:
    if len(shards) == 1:
        return [ask(shards[0])]
    with ThreadPoolExecutor(len(shards)) as threads:
        return list(threads.map(ask, shards))


def _standing(shard: Shard) -> Standing | str:
    try:
        return shard.standing()
    except (UnavailableError, RefusedError) as error:
        return str(error)
