"""What the API server asks of a kubelet, over HTTPS on loopback: logs, pods, metrics of use.

Only reading: who reaches this port can read logs, as with the local cluster's own API. A log holds
no times of its lines, so a question for them is refused, not answered wrongly.
"""

from collections.abc import AsyncIterator

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from midstage.local.kubelet.kubelet import Kubelet
from midstage.local.kubelet.metrics import GROUP, VERSION, Metrics, SelectorError, discovery
from midstage.local.pods.podlogs import PodLogs

_METRICS = f"/apis/{GROUP}/{VERSION}"
_NO_TIMES = ("timestamps", "sinceSeconds", "sinceTime")


def application(*, kubelet: Kubelet, logs: PodLogs, metrics: Metrics) -> Starlette:
    """What is served."""
    pods, use = _Pods(kubelet=kubelet, logs=logs), _Use(metrics)
    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/pods", pods.all),
            Route("/containerLogs/{namespace}/{pod}/{container}", pods.log),
            Route(_METRICS + "/nodes", use.of_nodes),
            Route(_METRICS + "/nodes/{name}", use.of_node),
            Route(_METRICS + "/pods", use.of_pods),
            Route(_METRICS + "/namespaces/{namespace}/pods", use.of_pods),
            Route(_METRICS + "/namespaces/{namespace}/pods/{name}", use.of_pod),
            Route("/apis{tail:path}", _discovered),
        ]
    )


class _Pods:
    def __init__(self, *, kubelet: Kubelet, logs: PodLogs) -> None:
        self._kubelet = kubelet
        self._logs = logs

    async def all(self, _: Request) -> Response:
        items = list(self._kubelet.pods())
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def log(self, request: Request) -> Response:
        life = self._kubelet.life(request.path_params["namespace"], request.path_params["pod"])
        query = request.query_params
        if life is None:
            return _refused(404, f"there is no pod {request.path_params['pod']} here")
        if request.path_params["container"] not in {each.name for each in life.pod.spec.containers}:
            return _refused(404, f"there is no container {request.path_params['container']} in it")
        asked = [name for name in _NO_TIMES if query.get(name, "false") != "false"]
        if asked:
            return _refused(400, f"{asked[0]}: the process kubelet knows no times of lines")
        run = self._logs.run(life.log)
        if _is_set(query.get("previous")):
            run -= 1
        if run < 1 or not self._logs.had(life.log, run):
            return _refused(400, "there was no such run of the container")
        tail, most = _number(query.get("tailLines")), _number(query.get("limitBytes"))

        def goes_on() -> bool:
            runs = life.process is not None or not life.over
            return _is_set(query.get("follow")) and runs and self._logs.run(life.log) <= run

        pieces = self._logs.written(life.log, run, tail=tail, goes_on=goes_on)
        return StreamingResponse(_cut(pieces, most), media_type="text/plain; charset=utf-8")


class _Use:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def of_nodes(self, _: Request) -> Response:
        return _json(self._metrics.of_nodes())

    async def of_node(self, request: Request) -> Response:
        return _found(self._metrics.of_node(request.path_params["name"]))

    async def of_pods(self, request: Request) -> Response:
        try:
            return _json(
                self._metrics.of_pods(
                    namespace=request.path_params.get("namespace"),
                    selector=request.query_params.get("labelSelector", ""),
                )
            )
        except SelectorError as e:
            return _refused(400, str(e))

    async def of_pod(self, request: Request) -> Response:
        names = request.path_params
        return _found(self._metrics.of_pod(names["namespace"], names["name"]))


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _discovered(request: Request) -> Response:
    return _found(discovery(request.url.path))


async def _cut(pieces: AsyncIterator[bytes], most: int | None) -> AsyncIterator[bytes]:
    left = most
    async for piece in pieces:
        yield piece if left is None else piece[:left]
        if left is not None and (left := left - len(piece)) <= 0:
            return


def _is_set(value: str | None) -> bool:
    return value in ("true", "1")


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def _found(answer: object | None) -> Response:
    return _refused(404, "it is not known here") if answer is None else _json(answer)


def _refused(code: int, message: str) -> Response:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    reason = "NotFound" if code == 404 else "BadRequest"
    return _json({**said, "reason": reason, "message": message}, code=code)


def _json(answer: object, *, code: int = 200) -> Response:
    body = msgspec.json.encode(answer)
    return Response(body, status_code=code, media_type="application/json")
