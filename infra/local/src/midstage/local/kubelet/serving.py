"""What the API server asks of a kubelet, over HTTPS on loopback: logs, pods, metrics of use.

Only reading: who reaches this port can read logs, as with the local cluster's own API. A log holds
no times of its lines, so a question for them is refused, not answered wrongly.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiohttp import web

from midstage.local.kubelet.kubelet import Kubelet
from midstage.local.kubelet.metrics import GROUP, VERSION, Metrics, SelectorError, discovery
from midstage.local.kubelet.shapes import Pod
from midstage.local.pods.podlogs import PodLogs
from midstage.local.ports import LOOPBACK

_METRICS = f"/apis/{GROUP}/{VERSION}"
_NO_TIMES = ("timestamps", "sinceSeconds", "sinceTime")
_SHUT_S = 0.5


class Serving:
    """An async loop that serves on ``port``; OSError where it is taken."""

    name = "serving"

    def __init__(
        self, *, kubelet: Kubelet, logs: PodLogs, metrics: Metrics, tls: ssl.SSLContext, port: int
    ) -> None:
        """Nothing listens yet."""
        self._kubelet = kubelet
        self._logs = logs
        self._metrics = metrics
        self._tls = tls
        self._port = port

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``."""
        app = web.Application()
        app.add_routes(self._routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUT_S)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, self._port, ssl_context=self._tls)
        try:
            await site.start()
            await stop.wait()
        finally:
            await runner.cleanup()

    def _routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/healthz", _healthz),
            web.get("/pods", self._pods),
            web.get("/containerLogs/{namespace}/{pod}/{container}", self._log),
            web.get(_METRICS + "/nodes", self._use_of_nodes),
            web.get(_METRICS + "/nodes/{name}", self._use_of_node),
            web.get(_METRICS + "/pods", self._use_of_pods),
            web.get(_METRICS + "/namespaces/{namespace}/pods", self._use_of_pods),
            web.get(_METRICS + "/namespaces/{namespace}/pods/{name}", self._use_of_pod),
            web.get("/apis{tail:.*}", _discovered),
        ]

    async def _pods(self, _: web.Request) -> web.StreamResponse:
        items: list[Pod] = list(self._kubelet.pods())
        return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        life = self._kubelet.life(request.match_info["namespace"], request.match_info["pod"])
        query = request.query
        if life is None:
            return _refused(404, f"there is no pod {request.match_info['pod']} here")
        if request.match_info["container"] not in {each.name for each in life.pod.spec.containers}:
            return _refused(404, f"there is no container {request.match_info['container']} in it")
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
        return await _streamed(request, _cut(pieces, most))

    async def _use_of_nodes(self, _: web.Request) -> web.StreamResponse:
        return _json(self._metrics.of_nodes())

    async def _use_of_node(self, request: web.Request) -> web.StreamResponse:
        return _found(self._metrics.of_node(request.match_info["name"]))

    async def _use_of_pods(self, request: web.Request) -> web.StreamResponse:
        try:
            return _json(
                self._metrics.of_pods(
                    namespace=request.match_info.get("namespace"),
                    selector=request.query.get("labelSelector", ""),
                )
            )
        except SelectorError as e:
            return _refused(400, str(e))

    async def _use_of_pod(self, request: web.Request) -> web.StreamResponse:
        names = request.match_info
        return _found(self._metrics.of_pod(names["namespace"], names["name"]))


async def _healthz(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


async def _discovered(request: web.Request) -> web.StreamResponse:
    return _found(discovery(request.path))


async def _streamed(request: web.Request, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"content-type": "text/plain"})
    await answer.prepare(request)
    async for piece in pieces:
        await answer.write(piece)
    await answer.write_eof()
    return answer


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


def _found(answer: object | None) -> web.StreamResponse:
    return _refused(404, "it is not known here") if answer is None else _json(answer)


def _refused(code: int, message: str) -> web.StreamResponse:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    reason = "NotFound" if code == 404 else "BadRequest"
    return _json({**said, "reason": reason, "message": message}, code=code)


def _json(answer: object, *, code: int = 200) -> web.StreamResponse:
    body = msgspec.json.encode(answer)
    return web.Response(body=body, status=code, content_type="application/json")
