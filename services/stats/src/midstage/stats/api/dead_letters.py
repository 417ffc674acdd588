"""Dead letters over HTTP, for who has the token: they hold what any customer sent."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Path, Query, Request, Response

from midstage.chassis.audited import Audit
from midstage.stats.api.answered import as_json
from midstage.stats.views.dead_letters import (
    MOST_LETTERS,
    Asked,
    DeadLetters,
    Place,
    WholeDeadLetter,
    asked,
)

PATH = "/v1/dead-letters"
ONE = f"{PATH}/{{topic}}/{{partition}}/{{offset}}"
PLACES = r"^[A-Za-z0-9._/,-]*$"
"""What ``next`` is made of; ten thousand other characters are too long an address for a server."""
Topic = Annotated[str, Path(max_length=249)]
Number = Annotated[int, Path(ge=0, lt=1 << 63)]
Name = Annotated[str | None, Query(min_length=1, max_length=256)]


class Looking(Protocol):
    """Where they are looked at."""

    def found(self, asked: Asked) -> DeadLetters:
        """The newest of those asked for."""
        ...

    def one(self, place: Place) -> WholeDeadLetter:
        """One, whole."""
        ...


def router(looking: Looking, audit: Audit) -> APIRouter:
    """The routes of dead letters."""
    routes = APIRouter(prefix=PATH, tags=["dead letters"])

    @routes.get("", response_model=DeadLetters)
    def get_dead_letters(
        *,
        request: Request,
        topic: Name = None,
        refuser: Name = None,
        source: Name = None,
        customer: Name = None,
        reason: Annotated[str | None, Query(min_length=1, max_length=1_000)] = None,
        since: Annotated[str | None, Query(alias="from", max_length=64)] = None,
        before: Annotated[str | None, Query(max_length=10_000, pattern=PLACES)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LETTERS)] = 100,
    ) -> Response:
        def answer() -> Response:
            wanted = asked(
                topic=topic,
                refuser=refuser,
                source=source,
                customer=customer,
                reason=reason,
                since=since,
                before=before,
                limit=limit,
            )
            return as_json(looking.found(wanted))

        return audit.told(request, answer, route=PATH)

    @routes.get("/{topic}/{partition}/{offset}", response_model=WholeDeadLetter)
    def get_dead_letter(
        request: Request, topic: Topic, partition: Number, offset: Number
    ) -> Response:
        place = Place(topic=topic, partition=partition, offset=offset)
        return audit.told(
            request, lambda: as_json(looking.one(place)), route=ONE, query=f"id={place}"
        )

    return routes
