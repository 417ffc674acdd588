"""An application's scaling policy by itself: put another one, or see what that would change.

Commands as in the other routes. Each, and each look at what one would change, is told to the audit,
also where it is refused.
"""

from fastapi import APIRouter, Request

from midstage.chassis.audited import Audit, order
from midstage.chassis.commands import GivenId, Raw
from midstage.contracts.policy import Policy
from midstage.deploy.api import BY, AppName, Apps, By, Why, described
from midstage.deploy.api.answers import CommandAnswer, DiffAnswer
from midstage.deploy.api.specs import schema


def router(apps: Apps, audit: Audit) -> APIRouter:
    """The routes; they block while the log answers, so they run in threads."""
    routes = APIRouter(prefix="/v1", tags=["apps"])

    @routes.put("/apps/{app}/scaling", openapi_extra=described(schema(Policy)))
    def put_scaling(
        *,
        request: Request,
        app: AppName,
        body: Raw,
        by: By = BY,
        why: Why = "",
        idempotency_key: GivenId = None,
    ) -> CommandAnswer:
        return audit.told(
            request,
            lambda: apps.scale(app, body, idempotency_key, by=by, why=why),
            route="/v1/apps/{app}/scaling",
            query=order(request, app, body),
        )

    @routes.post("/apps/{app}/scaling/diff", openapi_extra=described(schema(Policy)))
    def diff_scaling(request: Request, app: AppName, body: Raw) -> DiffAnswer:
        return audit.told(
            request,
            lambda: apps.diff_scaling(app, body),
            route="/v1/apps/{app}/scaling/diff",
            query=order(request, app, body),
        )

    return routes
