"""Questions to hpa over HTTP: what was decided, why, and what each application asks for now.

Everything here only reads; ``ordering`` takes orders. Policies are a part of an application's spec,
which deploy keeps.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from midstage.contracts.errors import RefusedError
from midstage.contracts.scaling import EvaluationMade
from midstage.hpa.model import Alarms, Asked, Scaler
from midstage.hpa.views import answers
from midstage.hpa.views.answers import AlarmsAnswer, AppsAnswer, DecisionsAnswer, DecisionsQuery
from midstage.hpa.views.replays import Replayed, Which, lines

AppName = Annotated[str, Path(pattern="^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")]
Time = AwareDatetime | None


class Apps(Protocol):
    """What the specs ask for."""

    def states(self) -> Mapping[str, Asked]:
        """By application."""
        ...

    def state(self, key: str) -> tuple[int, Asked]:
        """Version, and what is asked for."""
        ...


class Scalers(Protocol):
    """The counts in force."""

    def states(self) -> Mapping[str, Scaler]:
        """By application."""
        ...

    def state(self, key: str) -> tuple[int, Scaler]:
        """Version and scaler."""
        ...


class JsonLines(StreamingResponse):
    """A JSON document a line, as they come."""

    media_type = "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What hpa knows, as the routes use it; ``past`` reads the log."""

    apps: Apps
    scaling: Scalers
    latest: Callable[[str], EvaluationMade | None]
    past: Callable[[str, datetime], EvaluationMade | None]
    alarms: Callable[[], Mapping[str, Alarms]]
    replaying: Callable[[Which], Iterator[Replayed]]
    now: Callable[[], datetime]

    def all(self) -> AppsAnswer:
        """The applications that scale."""
        names = self.apps.states()
        latest = {name: made for name in names if (made := self.latest(name)) is not None}
        return answers.apps(
            {name: self.apps.state(name) for name in names},
            {name: self.scaling.state(name) for name in names},
            latest,
        )

    def evaluation(self, app: str, at: datetime | None) -> EvaluationMade:
        """The newest evaluation, or the one in force at a time; RefusedError (404): none."""
        made = self.latest(app) if at is None else self.past(app, at)
        if made is None:
            when = "" if at is None else f" at {at.isoformat()} or before, as far as they are kept"
            raise RefusedError(f"there is no evaluation of {app!r}{when}", status=404)
        return made


def router(decided: Decided) -> APIRouter:
    """The routes; those that read the log run in threads."""
    routes = APIRouter(prefix="/v1", tags=["hpa"])

    @routes.get("/decisions")
    def get_decisions(
        app: Annotated[str | None, Query(max_length=256)] = None,
        since: Annotated[Time, Query(alias="from")] = None,
        until: Annotated[Time, Query(alias="to")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> DecisionsAnswer:
        query = DecisionsQuery(app=app, since=since, until=until, limit=limit)
        return answers.decisions(decided.scaling.states(), query, decided.now())

    @routes.get("/apps")
    def get_apps() -> AppsAnswer:
        return decided.all()

    @routes.get("/apps/{app}/evaluation")
    def get_evaluation(app: AppName, at: Time = None) -> Response:
        made = decided.evaluation(app, at)
        return Response(msgspec.json.encode(made), media_type="application/json")

    @routes.get("/alarms")
    def get_alarms(app: Annotated[str | None, Query(max_length=256)] = None) -> AlarmsAnswer:
        return answers.alarms(decided.alarms(), app)

    @routes.get("/replay", response_class=JsonLines)
    def get_replay(
        app: Annotated[str | None, Query(max_length=256)] = None,
        since: Annotated[Time, Query(alias="from")] = None,
        until: Annotated[Time, Query(alias="to")] = None,
        *,
        deep: Annotated[bool, Query()] = False,
    ) -> JsonLines:
        which = Which(app=app, since=since, until=until, deep=deep)
        return JsonLines(lines(decided.replaying(which)))

    return routes
