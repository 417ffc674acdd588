"""What the HTTP API of a process was asked: counted by route, and changes named in the log.

Labels are route templates, never paths, so a caller can't make new series. A request to change
something is one line in the log, whatever became of it.
"""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from midstage.chassis.guard import SAFE_METHODS
from midstage.chassis.logs import logger

BROKE = 500
LEFT = 499
"""The status of a request whose caller left before its body was whole, as proxies write it."""

_METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_NO_ROUTE = "none"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_log = logger(__name__)


class Traffic:
    """Measures every request that ``app`` gets, refused ones too."""

    def __init__(self, app: ASGIApp, *, service: str, registry: CollectorRegistry) -> None:
        """Declare the metrics of ``service``'s API in ``registry``."""
        self._app = app
        self._requests = Counter(
            f"midstage_{service}_http_requests",
            "Requests to the API by method, route and status",
            ("method", "route", "status"),
            registry=registry,
        )
        self._duration = Histogram(
            f"midstage_{service}_http_duration_seconds",
            "From the request's head to the end of its answer",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and measure it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = BROKE
        began = time.perf_counter()

        answered = False

        async def noted(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
            await send(message)

        try:
            await self._app(scope, receive, noted)
            status = status if answered else LEFT
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method: str = scope["method"] if scope["method"] in _METHODS else "other"
        route = str(getattr(scope.get("route"), "path", _NO_ROUTE))
        self._requests.labels(method, route, str(status)).inc()
        self._duration.labels(method, route).observe(seconds)
        if method not in SAFE_METHODS:
            _log.info(
                "http_answered",
                method=method,
                path=scope["path"],
                status=status,
                duration_ms=round(seconds * 1000, 1),
                request_id=scope.get("state", {}).get("request_id", ""),
            )
