"""The HTTP side of every process: the service's routes, health, readiness, metrics, problems.

``/healthz`` says that the process runs, ``/readyz`` that it makes progress (else 503 and why, by
name), ``/metrics`` is Prometheus' text. All routes stand behind ``guard.Guard``.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    ProcessCollector,
    generate_latest,
)

from midstage.chassis import problems
from midstage.chassis.guard import NO_BODIES, Guard, needs_token
from midstage.chassis.parameters import Parameters
from midstage.chassis.readiness import Readiness
from midstage.chassis.traffic import Traffic


def build(
    *,
    service: str,
    version: str,
    readiness: Readiness,
    registry: CollectorRegistry,
    token: str,
    routers: Sequence[APIRouter],
    own_keys: Collection[str] = (),
    private: Collection[str] = (),
    bodies: Mapping[str, int] = NO_BODIES,
) -> FastAPI:
    """The application that ``process.Process`` serves; ValueError for an empty token.

    ``own_keys`` are the paths whose routes take keys of others beside the token, and see to it;
    at and below the paths ``private`` reading needs the token too; ``bodies`` gives the most bytes
    by path where a route takes larger ones than usual.
    """
    ProcessCollector(registry=registry)
    app = _Api(
        title=f"midstage {service}",
        version=version,
        docs_url=None,
        redoc_url=None,
        responses={"default": _PROBLEM},
        dependencies=[Depends(Parameters())],
    )
    app.private = frozenset(private)
    problems.install(app)
    app.add_middleware(Guard, token=token, own_keys=own_keys, private=private, bodies=bodies)
    app.add_middleware(Traffic, service=service, registry=registry)
    app.include_router(_own(service, version, readiness, registry))
    for router in routers:
        app.include_router(router)
    return app


class _Api(FastAPI):
    private: frozenset[str] = frozenset()

    def openapi(self) -> dict[str, Any]:
        """FastAPI's document, and for what the guard wants the token."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes["token"] = {"type": "http", "scheme": "bearer"}
            for path, item in document["paths"].items():
                for method, operation in item.items():
                    if needs_token(method.upper(), path, private=self.private):
                        operation["security"] = [{"token": []}]
                        operation["responses"]["401"] = _UNKNOWN
        return self.openapi_schema or {}


_PROBLEM: dict[str, object] = {
    "description": "A problem document (RFC 9457)",
    "content": {
        problems.MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "request_id": {"type": "string"},
                },
            }
        }
    },
}

_UNKNOWN: dict[str, object] = {**_PROBLEM, "description": "Without the token, or a key known here"}


def _own(
    service: str, version: str, readiness: Readiness, registry: CollectorRegistry
) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "service": service, "version": version}

    @router.get("/readyz")
    def readyz(request: Request) -> Response:
        return _readiness(readiness, str(request.state.request_id))

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


def _readiness(readiness: Readiness, request_id: str) -> Response:
    reasons = readiness.reasons()
    if not reasons:
        return Response(b'{"status":"ready"}', media_type="application/json")
    detail = "; ".join(f"{name}: {reason}" for name, reason in sorted(reasons.items()))
    return problems.problem(status=503, detail=detail, request_id=request_id, reasons=dict(reasons))
