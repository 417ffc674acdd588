"""``midstage events``: what changes in the clusters, as it happens.

Each change has an id. A watch that breaks off goes on from the last one by itself, so nothing is
missed or told twice; ``--after ID`` does the same for the next command.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, assert_never

import msgspec
import typer

from midstage.client import api
from midstage.client.platform import HERE, Directory, NothingRunsError, Server
from midstage.client.show import cell
from midstage.client.sse import Block, blocks
from midstage.contracts.cluster import (
    CLUSTER_REACHED,
    CLUSTER_UNREACHABLE,
    ENDPOINTS_OBSERVED,
    NODE_OBSERVED,
    NODE_USED,
    OBJECT_GONE,
    POD_OBSERVED,
    POD_USED,
    QUOTA_USED,
    WORKLOAD_OBSERVED,
    ClusterFact,
    ClusterReached,
    ClusterUnreachable,
    EndpointsObserved,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    PodObserved,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
)
from midstage.contracts.errors import UnavailableError
from midstage.contracts.inventory import Living

SILENT_S = 15.0  # control gives a sign of life each 5 s
_TRIES = 30
_WAIT_S = 1.0
_TYPES: Mapping[str, type[ClusterFact]] = {
    NODE_OBSERVED: NodeObserved,
    POD_OBSERVED: PodObserved,
    WORKLOAD_OBSERVED: WorkloadObserved,
    ENDPOINTS_OBSERVED: EndpointsObserved,
    OBJECT_GONE: ObjectGone,
    POD_USED: PodUsed,
    NODE_USED: NodeUsed,
    QUOTA_USED: QuotaUsed,
    CLUSTER_REACHED: ClusterReached,
    CLUSTER_UNREACHABLE: ClusterUnreachable,
}


class Form(StrEnum):
    """How a change is printed: one line for people, one JSON document a line for programs."""

    TABLE = "table"
    JSON = "json"


def events(
    *,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Go on as they happen.")] = False,
    after: Annotated[
        str | None, typer.Option(help="All after this id, instead of the last ones.")
    ] = None,
    tail: Annotated[int, typer.Option(min=0, max=1000, help="So many of the last ones.")] = 30,
    app: Annotated[str | None, typer.Option(help="Only this application's.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only of one kind: node, pod, workload, endpoints, cluster.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Measurements and signs of life too.")
    ] = False,
    output: Annotated[
        Form, typer.Option("-o", "--output", help="How data is printed.")
    ] = Form.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what changed in the clusters; the last line on stderr says where to go on."""
    control = api.service("control", directory=directory, server=server)
    query = {
        "app": app,
        "kind": kind,
        "everything": str(everything).lower(),
        "tail": str(tail),
    }
    place = after
    try:
        for block in _told(control, query, after=after, watch=watch):
            place = block.id or place
            if block.data:
                typer.echo(line(block) if output is Form.TABLE else block.data.decode())
    except KeyboardInterrupt:
        pass
    if place:
        typer.echo(f"go on with --after {place}", err=True)


def lately(control: api.Service, most: int, **query: str) -> Sequence[str]:
    """The last changes as lines."""
    asked = {**query, "tail": str(most), "follow": "false"}
    with control.pieces("/v1/events", asked, silent_s=SILENT_S) as pieces:
        return [line(block) for block in blocks(pieces) if block.data]


def line(block: Block) -> str:
    """One change as one line: time, kind, name, what it is now."""
    try:
        fact = msgspec.json.decode(block.data, type=_Event)
        known = _TYPES.get(fact.type)
        if known is None:
            return cell(f"{fact.time}  {fact.type}")
        at = fact.time.removesuffix("Z")[:23]  # to the millisecond
        return cell(f"{at:<23}Z  {_said(msgspec.json.decode(fact.data, type=known))}")
    except msgspec.DecodeError as e:
        raise UnavailableError(f"control's answer is not one of midstage's: {e}") from e


class _Event(msgspec.Struct):
    time: str
    type: str
    data: msgspec.Raw


def _told(
    control: api.Service, query: Mapping[str, str | None], *, after: str | None, watch: bool
) -> Iterator[Block]:
    """The blocks; a watch that broke off after it had begun goes on from the last id."""
    place, tries = after, 0
    while True:
        asked = {**query, "follow": str(watch).lower(), "after": place}
        try:
            with control.pieces("/v1/events", asked, silent_s=SILENT_S) as pieces:
                for block in blocks(pieces):
                    place, tries = block.id or place, 0
                    yield block
        except (UnavailableError, NothingRunsError):
            if not watch or place is None or tries >= _TRIES:
                raise
        if not watch:
            return
        tries += 1
        time.sleep(_WAIT_S)


def _said(fact: ClusterFact) -> str:
    match fact:
        case (
            NodeObserved() | PodObserved() | WorkloadObserved() | EndpointsObserved() | ObjectGone()
        ):
            return _object(fact)
        case PodUsed():
            return _row("pod", fact.name, _use(fact.cpu, fact.memory_mb))
        case NodeUsed():
            return _row("node", fact.name, _use(fact.cpu, fact.memory_mb))
        case QuotaUsed():
            used = [
                f"{name} {fact.used.get(name, 0):g} of {of:g}" for name, of in fact.hard.items()
            ]
            return _row("quota", fact.name, ", ".join(used))
        case ClusterReached():
            return _row("cluster", fact.name, f"answers, {fact.objects} objects")
        case ClusterUnreachable():
            since = fact.since.isoformat(timespec="milliseconds")
            return _row("cluster", fact.name, f"unreachable since {since}", fact.reason)
        case _:
            assert_never(fact)


def _object(fact: Living | ObjectGone) -> str:
    match fact:
        case NodeObserved():
            ready = "ready" if fact.ready else "not ready"
            closed = "" if fact.schedulable else ", takes no new pods"
            return _row("node", fact.name, f"{ready}{closed}", fact.reason)
        case PodObserved():
            what = "draining" if fact.draining else "ready" if fact.ready else fact.phase.value
            where = f" on {fact.node}" if fact.node else ""
            told = ": ".join(part for part in (fact.reason, fact.message) if part)
            return _row("pod", fact.name, what + where, told)
        case WorkloadObserved():
            return _row("workload", fact.name, f"{fact.ready} of {fact.replicas} ready")
        case EndpointsObserved():
            serving = sum(each.ready for each in fact.endpoints)
            what = f"{serving} of {len(fact.endpoints)} ready"
            return _row("endpoints", fact.name, what, f"service {fact.service}")
        case ObjectGone():
            return _row(fact.kind.value, fact.name, "gone")
        case _:
            assert_never(fact)


def _use(cpu: float, memory_mb: float) -> str:
    return f"uses {cpu:.2f} cores, {memory_mb:.0f} MiB"


def _row(kind: str, name: str, what: str, why: str = "") -> str:
    last = (why.strip().splitlines() or [""])[-1]
    return f"{kind:<9} {name}  {what}" + (f" ({last})" if last else "")
