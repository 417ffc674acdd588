"""Orders over HTTP: override and pause an application's scaling, take it back, try it dry.

A command's id is the caller's ``Idempotency-Key``: sent again it has the first one's outcome, from
the log; with another body it is refused (409). Without the header an id is made and answered. Each
order, and each dry run of one or of a policy, is told to the audit, also where it is refused.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from midstage.chassis.audited import Audit, order
from midstage.chassis.commands import CommandId, GivenId, Raw
from midstage.hpa.api import AppName
from midstage.hpa.api.orders import CommandAnswer, Orders, OverrideBody, PauseBody
from midstage.hpa.views.orders import OrderAnswer

BY = "api"

By = Annotated[str, Query(min_length=1, max_length=200, description="Who orders; kept in the log.")]
Why = Annotated[str, Query(max_length=500, description="The reason; kept in the log.")]
Dry = Annotated[bool, Query(description="Only say what would be decided now.")]


def router(orders: Orders, audit: Audit) -> APIRouter:
    """The routes; they block while the log answers, so they run in threads."""
    routes = APIRouter(prefix="/v1", tags=["orders"])
    _asking(routes, orders)
    _trying(routes, orders, audit)
    _ordering(routes, orders, audit)
    _taking_back(routes, orders, audit)
    return routes


def _asking(routes: APIRouter, orders: Orders) -> None:
    @routes.get("/apps/{app}/override")
    def get_override(app: AppName) -> OrderAnswer:
        return orders.overridden(app)

    @routes.get("/apps/{app}/pause")
    def get_pause(app: AppName) -> OrderAnswer:
        return orders.paused(app)

    @routes.get("/commands/{command_id}")
    def get_command(command_id: CommandId) -> CommandAnswer:
        return orders.command(command_id)


def _trying(routes: APIRouter, orders: Orders, audit: Audit) -> None:
    @routes.post("/apps/{app}/evaluate")
    def evaluate_app(request: Request, app: AppName, body: Raw) -> Response:
        return audit.told(
            request,
            lambda: orders.evaluated(app, body),
            route="/v1/apps/{app}/evaluate",
            query=order(request, app, body),
        )


def _ordering(routes: APIRouter, orders: Orders, audit: Audit) -> None:
    @routes.put("/apps/{app}/override")
    def put_override(
        *,
        request: Request,
        app: AppName,
        body: OverrideBody,
        by: By = BY,
        dry_run: Dry = False,
        idempotency_key: GivenId = None,
    ) -> Response:
        def answer() -> Response:
            command = orders.override(app, body, by=by)
            return orders.dry(command) if dry_run else orders.done(command, idempotency_key, body)

        return audit.told(
            request, answer, route="/v1/apps/{app}/override", query=order(request, app, _told(body))
        )

    @routes.put("/apps/{app}/pause")
    def put_pause(
        *,
        request: Request,
        app: AppName,
        body: PauseBody,
        by: By = BY,
        dry_run: Dry = False,
        idempotency_key: GivenId = None,
    ) -> Response:
        def answer() -> Response:
            command = orders.pause(app, body, by=by)
            return orders.dry(command) if dry_run else orders.done(command, idempotency_key, body)

        return audit.told(
            request, answer, route="/v1/apps/{app}/pause", query=order(request, app, _told(body))
        )


def _taking_back(routes: APIRouter, orders: Orders, audit: Audit) -> None:
    @routes.delete("/apps/{app}/override")
    def delete_override(
        *,
        request: Request,
        app: AppName,
        by: By = BY,
        why: Why = "",
        idempotency_key: GivenId = None,
    ) -> Response:
        return audit.told(
            request,
            lambda: orders.done(orders.lift(app, by=by, why=why), idempotency_key, why),
            route="/v1/apps/{app}/override",
            query=order(request, app),
        )

    @routes.delete("/apps/{app}/pause")
    def delete_pause(
        *,
        request: Request,
        app: AppName,
        by: By = BY,
        why: Why = "",
        idempotency_key: GivenId = None,
    ) -> Response:
        return audit.told(
            request,
            lambda: orders.done(orders.resume(app, by=by, why=why), idempotency_key, why),
            route="/v1/apps/{app}/pause",
            query=order(request, app),
        )


def _told(body: BaseModel) -> str:
    return body.model_dump_json(exclude_none=True)
