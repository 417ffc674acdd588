"""The HTTP API of the local cluster, as ``midstage.cluster.wire`` says it.

All handlers run on the event loop's thread, where the state is. Streams end with their caller, or
with the pod; an answer that can't begin is a problem document.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from midstage.chassis.problems import problem
from midstage.cluster import wire
from midstage.cluster.check import refuse_adoption
from midstage.cluster.faults import Fault
from midstage.cluster.objects import Change
from midstage.cluster.protocol import Ending, ExpiredError
from midstage.contracts.errors import RefusedError
from midstage.local.cluster.breaking import Breaking
from midstage.local.cluster.hub import Hub
from midstage.local.pods.podlogs import PodLogs
from midstage.local.pods.usage import Meter

T = TypeVar("T")
_LINES = "application/jsonl"
_FAULT: msgspec.json.Decoder[Fault] = msgspec.json.Decoder(Fault)


def router(*, hub: Hub, logs: PodLogs, meter: Meter, breaking: Breaking) -> APIRouter:
    """The routes."""
    made = APIRouter()
    _reading(made, hub, meter)
    _workloads(made, hub)
    _writing(made, hub)
    _watching(made, hub)
    _logs(made, hub, logs)

    @made.post(wire.FAULTS, status_code=204)
    async def fault(request: Request) -> Response:
        breaking.carry_out(_decoded(await request.body(), _FAULT))
        return Response(status_code=204)

    return made


def _reading(made: APIRouter, hub: Hub, meter: Meter) -> None:
    @made.get(wire.OBJECTS)
    async def objects() -> Response:
        return _json(hub.state.listing())

    @made.get(wire.USAGE)
    async def usage() -> Response:
        return _json(wire.Usage(pods=tuple(meter.usage(hub.state.pods()))))


def _workloads(made: APIRouter, hub: Hub) -> None:
    @made.put(wire.WORKLOADS + "/{name}")
    async def put_workload(name: str, request: Request) -> Response:
        body = await _about(name, request)
        ending = _named(body.ending)
        return _json(hub.put_workload(body.workload, expected=body.expected, ending=ending))

    @made.put(wire.WORKLOADS + "/{name}/scaled")
    async def scale_workload(name: str, request: Request) -> Response:
        body = await _body(request, wire.WorkloadScaled)
        ending = _named(body.ending)
        scaled = hub.scale_workload(
            name, replicas=body.replicas, expected=body.expected, ending=ending
        )
        return _json(scaled)

    @made.put(wire.WORKLOADS + "/{name}/adopted")
    async def adopt(name: str, request: Request) -> Response:
        await _body(request, wire.WorkloadAdopted)
        refuse_adoption(hub.state.workload(name), name)

    @made.put(wire.WORKLOADS + "/{name}/preview")
    async def preview(name: str, request: Request) -> Response:
        body = await _about(name, request)
        return _json(hub.preview(body.workload, expected=body.expected))

    @made.put(wire.WORKLOADS + "/{name}/deleted")
    async def delete_workload(name: str, request: Request) -> Response:
        body = await _body(request, wire.WorkloadDeleted)
        hub.delete_workload(name, expected=body.expected, ending=_named(body.ending))
        return _json(wire.Done())


def _writing(made: APIRouter, hub: Hub) -> None:
    @made.put(wire.PODS + "/{name}/draining")
    async def drain_pod(name: str, request: Request) -> Response:
        body = await _body(request, wire.PodDrained)
        with hub.changing() as state:
            return _json(state.drain_pod(name, uid=body.uid, draining=body.draining))

    @made.put(wire.PODS + "/{name}/evicted")
    async def evict_pod(name: str, request: Request) -> Response:
        body = await _body(request, wire.PodEvicted)
        with hub.changing() as state:
            state.evict_pod(name, uid=body.uid, now=hub.now())
        return _json(wire.Done())

    @made.put(wire.NODES + "/{name}/cordoned")
    async def cordon(name: str, request: Request) -> Response:
        body = await _body(request, wire.NodeCordoned)
        with hub.changing() as state:
            return _json(state.cordon(name, on=body.on, emptied=body.emptied, now=hub.now()))

    @made.put(wire.LEASES + "/{name}")
    async def take_lease(name: str, request: Request) -> Response:
        body = await _body(request, wire.LeaseTaken)
        within = timedelta(seconds=body.within_s)
        return _json(hub.take_lease(name, holder=body.holder, within=within))


def _watching(made: APIRouter, hub: Hub) -> None:
    @made.get(wire.WATCH)
    async def watch(since: int, request: Request) -> Response:
        try:
            hub.state.after(since)
        except ExpiredError as e:
            return problem(status=410, detail=str(e), request_id=request.state.request_id)
        return StreamingResponse(_changes(hub, since), media_type=_LINES)


async def _changes(hub: Hub, since: int) -> AsyncIterator[bytes]:
    """Each change as a line; it breaks off where its reader is slower than what is kept."""
    encoder = msgspec.json.Encoder()
    with suppress(ExpiredError):
        while True:
            changes = hub.state.after(since)
            if not changes:  # nothing may wait between this look and the next line
                await hub.heard(within_s=wire.BOOKMARK_S)
                changes = hub.state.after(since)
            since = changes[-1].resource_version if changes else since
            yield encoder.encode_lines(changes or [Change(resource_version=since)])


def _logs(made: APIRouter, hub: Hub, logs: PodLogs) -> None:
    @made.get(wire.PODS + "/{name}/logs")
    async def written(
        name: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Response:
        if hub.state.pod(name) is None:
            raise RefusedError(f"there is no pod {name}", status=404)
        run = logs.run(name)
        if previous and run <= 1:
            raise RefusedError(f"pod {name} has had one run only", status=404)
        run = run - 1 if previous else max(run, 1)

        def goes_on() -> bool:
            return follow and hub.state.pod(name) is not None and logs.run(name) <= run

        lines = None if tail is None else max(0, tail)
        pieces = logs.written(name, run, tail=lines, goes_on=goes_on)
        return StreamingResponse(pieces, media_type="text/plain; charset=utf-8")


async def _about(name: str, request: Request) -> wire.WorkloadPut:
    body = await _body(request, wire.WorkloadPut)
    if body.workload.name != name:
        raise RefusedError(f"the body is about {body.workload.name}, the path about {name}")
    return body


async def _body(request: Request, kind: type[T]) -> T:
    return _decoded(await request.body(), msgspec.json.Decoder(kind))


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as e:
        raise RefusedError(f"body: {e}") from e
    except msgspec.DecodeError as e:
        raise RefusedError(f"the body is not JSON: {e}", status=400) from e


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _named(pods: tuple[tuple[str, int], ...] | None) -> Ending:
    return None if pods is None else frozenset(pods)
