"""The HTTP application of stats: its routes, who may ask them, and when it is ready."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from midstage.chassis import http
from midstage.chassis.readiness import Readiness
from midstage.stats.api import REQUESTS, events, usage
from midstage.stats.api.encodings import BODY_BYTES


def application(
    *,
    service: str,
    version: str,
    token: str,
    routes: Sequence[APIRouter],
    registry: CollectorRegistry,
    progress: Callable[[], str | None],
) -> FastAPI:
    """Ready while counting makes progress: ``progress`` says why it does not, None where it does.

    Nothing is told to who has no key. Usage, requests and events take customers' keys beside the
    operators' ``token``.
    """
    readiness = Readiness()
    readiness.add("counting", progress)
    return http.build(
        service=service,
        version=version,
        readiness=readiness,
        registry=registry,
        token=token,
        routers=routes,
        own_keys=[usage.PATH, REQUESTS, events.PATH],
        private=["/v1"],
        bodies={events.PATH: BODY_BYTES},
    )
