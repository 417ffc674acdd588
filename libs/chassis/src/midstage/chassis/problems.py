"""Every error of an HTTP API is one ``application/problem+json`` document (RFC 9457).

The four kinds of error become statuses here and nowhere else: refused has its own, unavailable is
503, invalid input is 422, anything else is 500 and says nothing of the inside.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from midstage.chassis.logs import bound, logger
from midstage.contracts.errors import RefusedError, UnavailableError

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "x-request-id"
RETRY_AFTER_S = "1"

_log = logger(__name__)


def problem(
    *,
    status: int,
    detail: str,
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """One problem document; ``more`` are its extension members."""
    content = {
        "type": "about:blank",
        "title": _title(status),
        "status": status,
        "detail": detail,
        **({"request_id": request_id} if request_id else {}),
        **more,
    }
    return Response(
        msgspec.json.encode(content, enc_hook=str),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={**(headers or {}), **({REQUEST_ID: request_id} if request_id else {})},
    )


def install(app: FastAPI) -> None:
    """Make every error that leaves a route of ``app`` a problem document."""
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(RefusedError)(_refused)
    app.exception_handler(UnavailableError)(_unavailable)
    app.exception_handler(Exception)(_unknown)


async def _http(request: Request, raised: HTTPException) -> Response:
    match raised.status_code:
        case 404 if raised.detail == "Not Found":
            detail = f"nothing is at {request.url.path}; /openapi.json says what is where"
        case 405:
            detail = f"{request.url.path} does not take {request.method}"
        case _:
            detail = str(raised.detail)
    return problem(
        status=raised.status_code,
        detail=detail,
        request_id=_request_id(request),
        headers=raised.headers,
    )


async def _invalid(request: Request, raised: RequestValidationError) -> Response:
    errors = [
        {"where": _where(error.get("loc", ())), "message": str(error.get("msg", ""))}
        for error in raised.errors()
    ]
    first = errors[0] if errors else {"where": "request", "message": "invalid"}
    if isinstance(raised.body, bytes) and first["where"].startswith("body"):  # it was not read
        kind = request.headers.get("content-type", "")
        first = {"where": "content-type", "message": f"{kind!r} is not application/json"}
    return problem(
        status=422,
        detail=f"{first['where']}: {first['message']}",
        request_id=_request_id(request),
        errors=errors,
    )


async def _refused(request: Request, raised: RefusedError) -> Response:
    return problem(status=raised.status, detail=str(raised), request_id=_request_id(request))


async def _unavailable(request: Request, raised: UnavailableError) -> Response:
    return problem(
        status=503,
        detail=str(raised),
        request_id=_request_id(request),
        headers={"retry-after": RETRY_AFTER_S},
    )


async def _unknown(request: Request, raised: Exception) -> Response:
    request_id = _request_id(request)
    with bound(request_id=request_id):
        _log.error("request_failed", raised=raised, method=request.method, path=request.url.path)
    return problem(
        status=500,
        detail="an error on our side; the log has it under this request_id",
        request_id=request_id,
    )


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


def _where(location: Sequence[object]) -> str:
    return ".".join(str(step) for step in location) or "request"


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
