"""Applications over HTTP: specify, look, compare, undo, remove, and find out what became of it.

A command's id is the caller's ``Idempotency-Key``: sent again it has the first one's outcome, from
the log; with another body it is refused (409). Without the header an id is made and answered.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from midstage.chassis.commands import CommandId, GivenId, Raw
from midstage.contracts.apps import AppSpec
from midstage.deploy.api.answers import (
    AdoptAnswer,
    AppAnswer,
    AppsAnswer,
    CommandAnswer,
    DiffAnswer,
    HistoryAnswer,
)
from midstage.deploy.api.apps import Apps
from midstage.deploy.api.specs import schema

__all__ = ["Apps", "router"]

BY = "api"
APP = r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?"

AppName = Annotated[str, Path(pattern=f"^{APP}$")]
By = Annotated[str, Query(max_length=200, description="Who asks; kept in the log.")]
To = Annotated[str, Query(pattern="^[0-9a-f]{0,16}$", description="A revision or a version.")]
WorkloadName = Annotated[
    str,
    Query(
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$",
        description="A Deployment that somebody else made.",
    ),
]
EvenSo = Annotated[bool, Query(description="Also where the cluster says it would not take it.")]
Why = Annotated[str, Query(max_length=500, description="The reason; kept in the log.")]


def router(apps: Apps) -> APIRouter:
    """The routes; they block while the log answers, so they run in threads."""
    routes = APIRouter(prefix="/v1", tags=["apps"])
    _asking(routes, apps)
    _changing(routes, apps)
    return routes


def _asking(routes: APIRouter, apps: Apps) -> None:
    @routes.get("/apps")
    def get_apps() -> AppsAnswer:
        return apps.all()

    @routes.get("/apps/{app}")
    def get_app(app: AppName) -> AppAnswer:
        return apps.one(app)

    @routes.get("/apps/{app}/history")
    def get_history(app: AppName) -> HistoryAnswer:
        return apps.history(app)

    @routes.post("/apps/{app}/diff", openapi_extra=_spec_body())
    def diff_app(app: AppName, body: Raw) -> DiffAnswer:
        return apps.diff(app, body)

    @routes.get("/commands/{command_id}")
    def get_command(command_id: CommandId) -> CommandAnswer:
        return apps.command(command_id)


def _changing(routes: APIRouter, apps: Apps) -> None:
    @routes.put("/apps/{app}", openapi_extra=_spec_body())
    def put_app(
        *,
        app: AppName,
        body: Raw,
        by: By = BY,
        why: Why = "",
        even_so: EvenSo = False,
        idempotency_key: GivenId = None,
    ) -> CommandAnswer:
        return apps.put(app, body, idempotency_key, by=by, why=why, even_so=even_so)

    @routes.delete("/apps/{app}")
    def delete_app(
        app: AppName, by: By = BY, why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return apps.remove(app, idempotency_key, by=by, why=why)

    @routes.post("/apps/{app}/undo")
    def undo_app(
        app: AppName, to: To = "", by: By = BY, why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return apps.undo(app, idempotency_key, to=to, by=by, why=why)

    @routes.post("/apps/{app}/adopt")
    def adopt_workload(app: AppName, workload: WorkloadName) -> AdoptAnswer:
        return apps.adopt(app, workload)

    @routes.post("/apps/{app}/restart")
    def restart_app(
        app: AppName, by: By = BY, why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return apps.restart(app, idempotency_key, by=by, why=why)

    @routes.post("/apps/{app}/pause")
    def pause_app(
        app: AppName, by: By = BY, why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return apps.pause(app, idempotency_key, by=by, why=why)

    @routes.post("/apps/{app}/resume")
    def resume_app(
        app: AppName, by: By = BY, why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return apps.resume(app, idempotency_key, by=by, why=why)


def _spec_body() -> dict[str, object]:
    return described(schema(AppSpec))


def described(body: object) -> dict[str, object]:
    """A body by its schema, for the API's document; the route itself takes it raw."""
    content = {"application/json": {"schema": body}}
    return {"requestBody": {"required": True, "content": content}}
