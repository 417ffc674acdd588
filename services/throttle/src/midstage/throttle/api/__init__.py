"""Limits and plans over HTTP: ask, set, remove, find out what is left, and what became of it all.

A command's id is the caller's ``Idempotency-Key``: sent again it has the first one's outcome, from
the log; with another body it is refused (409). Without the header an id is made and answered.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from midstage.chassis.commands import CommandId, GivenId, Raw
from midstage.throttle.api.answers import (
    CommandAnswer,
    ForeseenAnswer,
    LeftAnswer,
    LimitAnswer,
    LimitsAnswer,
    PlanAnswer,
    PlansAnswer,
    SettledAnswer,
)
from midstage.throttle.api.elsewhere import Elsewhere
from midstage.throttle.api.looking import Looking
from midstage.throttle.api.reading import (
    CheckBody,
    EndedBody,
    LimitBody,
    PlanBody,
    check_of,
    described,
    ended_of,
    limit_of,
    plan_of,
)
from midstage.throttle.api.standings import Standings

LIMIT = r"[a-z0-9][a-z0-9._-]{0,63}"
NAME = r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}"

LimitName = Annotated[str, Path(pattern=f"^{LIMIT}$")]
CustomerName = Annotated[str, Path(pattern=f"^{NAME}$")]
Filter = Annotated[str | None, Query(max_length=256)]
Word = Annotated[str, Query(max_length=256)]
By = Annotated[str, Query(min_length=1, max_length=128, description="Who asks for it.")]
Why = Annotated[str, Query(max_length=500, description="The reason; kept in the log.")]


def router(standings: Standings, looking: Looking, elsewhere: Elsewhere) -> APIRouter:
    """The routes; those that wait for the log run in threads, the others beside the checks."""
    routes = APIRouter(prefix="/v1", tags=["limits"])
    _limits(routes, standings)
    _plans(routes, standings)
    _looks(routes, looking, elsewhere)
    return routes


def _limits(routes: APIRouter, standings: Standings) -> None:
    @routes.get("/limits")
    def get_limits(
        customer: Filter = None, plan: Filter = None, app: Filter = None
    ) -> LimitsAnswer:
        return standings.found(customer=customer, plan=plan, app=app)

    @routes.get("/limits/{limit}")
    def get_limit(limit: LimitName) -> LimitAnswer:
        return standings.one(limit)

    @routes.put("/limits/{limit}", openapi_extra=described(LimitBody))
    def put_limit(limit: LimitName, body: Raw, idempotency_key: GivenId = None) -> CommandAnswer:
        return standings.set(limit, limit_of(body), idempotency_key)

    @routes.delete("/limits/{limit}")
    def delete_limit(
        limit: LimitName, by: By = "api", why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return standings.remove(limit, idempotency_key, by=by, why=why)

    @routes.get("/commands/{command_id}")
    def get_command(command_id: CommandId) -> CommandAnswer:
        return standings.command(command_id)


def _plans(routes: APIRouter, standings: Standings) -> None:
    @routes.get("/plans")
    def get_plans(plan: Filter = None) -> PlansAnswer:
        return standings.plans(plan)

    @routes.get("/customers/{customer}/plan")
    def get_plan(customer: CustomerName) -> PlanAnswer:
        return standings.plan(customer)

    @routes.put("/customers/{customer}/plan", openapi_extra=described(PlanBody))
    def put_plan(
        customer: CustomerName, body: Raw, idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return standings.put_on_plan(customer, plan_of(body), idempotency_key)

    @routes.delete("/customers/{customer}/plan")
    def delete_plan(
        customer: CustomerName, by: By = "api", why: Why = "", idempotency_key: GivenId = None
    ) -> CommandAnswer:
        return standings.take_off_plan(customer, idempotency_key, by=by, why=why)


def _looks(routes: APIRouter, looking: Looking, elsewhere: Elsewhere) -> None:
    @routes.get("/customers/{customer}/limits", response_model=LeftAnswer)
    async def get_left(
        request: Request, customer: CustomerName, app: Filter = None, key: Word = ""
    ) -> LeftAnswer | Response:
        theirs = await elsewhere.answer(customer, request)
        return theirs or looking.left(customer, app=app, key=key)

    @routes.post(
        "/settlements",
        status_code=202,
        openapi_extra=described(EndedBody),
        response_model=SettledAnswer,
    )
    async def post_settlement(body: Raw, request: Request) -> SettledAnswer | Response:
        ended = ended_of(body)
        theirs = await elsewhere.answer(ended.customer, request, body)
        return theirs or looking.settle(ended)

    @routes.post(
        "/checks/foreseen", openapi_extra=described(CheckBody), response_model=ForeseenAnswer
    )
    async def foresee_check(body: Raw, request: Request) -> ForeseenAnswer | Response:
        check = check_of(body)
        theirs = await elsewhere.answer(check.customer, request, body)
        return theirs or looking.foreseen(check)
