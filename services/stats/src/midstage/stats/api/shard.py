"""What one shard says to another: its own part, for who has the platform's token.

``OwnShard`` answers from this shard's ledger as another shard answers over HTTP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from fastapi import APIRouter

from midstage.contracts.load import LoadObserved
from midstage.stats.api.between import SHARD, nothing, part
from midstage.stats.model import Source
from midstage.stats.views.availability import AvailabilityQuery, Tally
from midstage.stats.views.held import HeldAnswer, HeldQuery
from midstage.stats.views.rows import RowsPage, RowsQuery
from midstage.stats.views.status import Recorded, Standing

RECENT = timedelta(minutes=1)

_tallies = msgspec.json.Decoder(AvailabilityQuery).decode
_rows = msgspec.json.Decoder(RowsQuery).decode
_held = msgspec.json.Decoder(HeldQuery).decode


class Books(Protocol):
    """What this shard's ledger answers."""

    def tallies(self, query: AvailabilityQuery) -> Sequence[Tally]:
        """Good requests and errors, in order; one more than ``MOST_TALLIES`` at most."""
        ...

    def rows(self, query: RowsQuery) -> RowsPage:
        """A page of rows."""
        ...

    def sources(self) -> Sequence[Source]:
        """Every source's state."""
        ...

    def recorded(self, *, since: datetime) -> Recorded:
        """How many rows there are, and how fresh those since then came in."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnShard:
    """This shard; ``lag`` are the records that wait for it, None: not known."""

    books: Books
    held: Callable[[HeldQuery], HeldAnswer]
    recent: Callable[[], Sequence[LoadObserved]]
    lag: Callable[[], int | None]
    now: Callable[[], datetime]

    def sources(self) -> Sequence[Source]:
        """Every source's state."""
        return self.books.sources()

    def tallies(self, query: AvailabilityQuery) -> Sequence[Tally]:
        """Good requests and errors."""
        return self.books.tallies(query)

    def rows(self, query: RowsQuery) -> RowsPage:
        """A page of rows."""
        return self.books.rows(query)

    def loads(self) -> Sequence[LoadObserved]:
        """What it told of the last seconds."""
        return self.recent()

    def standing(self) -> Standing:
        """How it stands."""
        recorded = self.books.recorded(since=self.now() - RECENT)
        return Standing(lag_records=self.lag(), recorded=recorded)


def router(own: OwnShard) -> APIRouter:
    """The routes that other shards ask."""
    routes = APIRouter(prefix=SHARD, include_in_schema=False)
    part(routes, "/sources", nothing, lambda _: own.sources())
    part(routes, "/tallies", _tallies, own.tallies)
    part(routes, "/rows", _rows, own.rows)
    part(routes, "/held", _held, own.held)
    part(routes, "/loads", nothing, lambda _: own.loads())
    part(routes, "/standing", nothing, lambda _: own.standing())
    return routes
