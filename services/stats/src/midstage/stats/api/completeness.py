"""What is there of each source and hour, over all shards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Query, Response

from midstage.stats.api.answered import as_json
from midstage.stats.api.between import SHARD, part
from midstage.stats.decide.told import Counted, Told
from midstage.stats.views.completeness import (
    CompletenessAnswer,
    CompletenessQuery,
    answer,
    merged,
    query,
)

OWN = f"{SHARD}/completeness"
_query = msgspec.json.Decoder(CompletenessQuery).decode


class Books(Protocol):
    """What one shard's ledger knows of its sources."""

    def told(self) -> Sequence[Told]:
        """Each source in time."""
        ...

    def counted(self) -> Sequence[Counted]:
        """Rows of each source and hour."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where completeness is asked; ``others`` ask the other shards."""

    shard: int
    books: Books
    others: Sequence[Callable[[CompletenessQuery], CompletenessAnswer]]

    def own(self, asked: CompletenessQuery) -> CompletenessAnswer:
        """This shard's part."""
        counted = self.books.counted()
        return answer(asked, self.books.told(), counted, shard=self.shard)

    def all(self, asked: CompletenessQuery) -> CompletenessAnswer:
        """The answer of all shards; UnavailableError where one of them is away."""
        return merged([self.own(asked), *(ask(asked) for ask in self.others)])


def router(desk: Desk) -> APIRouter:
    """The routes of completeness."""
    routes = APIRouter(tags=["stats"])

    @routes.get("/v1/completeness", response_model=CompletenessAnswer)
    def get_completeness(
        since: Annotated[str, Query(alias="from", max_length=64)],
        until: Annotated[str, Query(alias="to", max_length=64)],
        source: Annotated[str | None, Query(max_length=256)] = None,
    ) -> Response:
        return as_json(desk.all(query(source=source, since=since, until=until)))

    part(routes, OWN, _query, desk.own)
    return routes
