"""That product's HTTP paths: ``POST /json`` for callers without gRPC, and ``GET /healthcheck``.

``/json`` asks what the gRPC port is asked, of any domain, and needs no token, as that port needs
none. It is answered on the event loop, so a check stays one step.
"""

from collections.abc import Callable
from typing import Final

from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)
from fastapi import APIRouter, Request, Response
from google.protobuf import json_format

from midstage.chassis.problems import problem
from midstage.chassis.readiness import Readiness
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.throttle.adapters.awaiting import awaited
from midstage.throttle.adapters.http2.calls import CallError, Status
from midstage.throttle.adapters.imported.protocol import RateLimitRequest
from midstage.throttle.model.later import Later

PATH: Final = "/json"
BODY_BYTES: Final = 64 * 1024
_OVER_LIMIT: Final = rls_pb2.RateLimitResponse.OVER_LIMIT

Judged = Callable[[bytes, float | None], bytes | Later[bytes]]
"""From a serialized question and its time left to the answer, soon; CallError if there is none."""


def router(judged: Judged, serving: Callable[[], str | None], readiness: Readiness) -> APIRouter:
    """The two routes; ``serving`` says why the port is not open, or None."""
    routes = APIRouter(include_in_schema=False)

    @routes.post(PATH)
    async def post_json(request: Request) -> Response:
        closed = serving()
        if closed is not None:
            raise UnavailableError(closed)
        return await _answered(judged, await request.body())

    @routes.get("/healthcheck")
    def get_healthcheck(request: Request) -> Response:
        reasons = readiness.reasons()
        if not reasons:
            return Response(b"OK", media_type="text/plain")
        detail = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
        return problem(status=500, detail=detail, request_id=str(request.state.request_id))

    return routes


async def _answered(judged: Judged, body: bytes) -> Response:
    try:
        question = json_format.Parse(body, RateLimitRequest()).SerializeToString()
    except (json_format.ParseError, ValueError, RecursionError) as e:
        raise RefusedError(f"not a RateLimitRequest: {e}", status=400) from e
    try:
        said = await awaited(judged(question, None))
    except CallError as e:
        if e.status is Status.INVALID_ARGUMENT:
            raise RefusedError(str(e), status=400) from e
        raise UnavailableError(str(e)) from e
    told = rls_pb2.RateLimitResponse.FromString(said)
    return Response(
        json_format.MessageToJson(told, indent=None),
        status_code=429 if told.overall_code == _OVER_LIMIT else 200,
        media_type="application/json",
    )
