"""Control's answers as the command line reads them, and how amounts, ages and states are told.

Unknown fields are ignored, so an older command reads a newer control.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
import typer

from midstage.client import api
from midstage.client.show import Output, Row, show, table
from midstage.contracts.errors import RefusedError

T = TypeVar("T")

_NAMED = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class Amount(msgspec.Struct):
    """Cores, MiB, whole GPUs."""

    cpu: float
    memory_mb: int
    gpus: int


class Used(msgspec.Struct):
    """What was measured last."""

    cpu: float
    memory_mb: float
    gpu: float | None = None


class Pod(msgspec.Struct):
    """One pod."""

    cluster: str
    namespace: str
    name: str
    app: str
    revision: str
    workload: str
    node: str
    phase: str
    ready: bool
    draining: bool
    address: str
    reason: str
    message: str
    restarts: int
    requests: Amount
    created_at: datetime
    uid: str = ""
    exit_code: int | None = None
    used: Used | None = None
    started_at: datetime | None = None
    ready_at: datetime | None = None


class Cluster(msgspec.Struct):
    """One cluster."""

    cluster: str
    reachable: bool
    reason: str | None = None


class Node(msgspec.Struct):
    """One node; ``running`` its pods, where it was asked for alone."""

    cluster: str
    name: str
    ready: bool
    schedulable: bool
    reason: str
    pods: int
    capacity: Amount
    requested: Amount
    used: Used | None = None
    labels: dict[str, str] = {}
    taints: list[str] = []
    running: list[Pod] = []


class Nodes(msgspec.Struct):
    """All nodes."""

    nodes: list[Node]
    clusters: list[Cluster] = []


class Pods(msgspec.Struct):
    """Some pods."""

    pods: list[Pod]


class Revision(msgspec.Struct):
    """One revision of an application."""

    revision: str
    desired: int
    ready: int


class App(msgspec.Struct):
    """What runs of an application."""

    app: str
    desired: int
    ready: int
    starting: int
    restarts: int
    revisions: list[Revision]
    reasons: list[str]
    running: list[Pod] = []


def read(answer: bytes, kind: type[T]) -> T:
    """The answer; UnavailableError where it is none of midstage's."""
    return api.read(answer, kind, whose="control's")


def pod_named(control: api.Service, given: str) -> Pod:
    """The pod of that name, or the only one whose name begins so; else RefusedError."""
    found = read(control.ask("/v1/pods", {"q": given, "limit": "1000"}), Pods).pods
    exact = [pod for pod in found if pod.name == given]
    begins = exact or [pod for pod in found if pod.name.startswith(given)]
    if not begins:
        raise RefusedError(f"no pod's name begins with {given!r}; see midstage get pods")
    if len(begins) > 1:
        names = ", ".join(pod.name for pod in begins[:_NAMED])
        more = f" and {len(begins) - _NAMED} more" if len(begins) > _NAMED else ""
        raise RefusedError(f"{given!r} could be {names}{more}; give more of the name")
    return begins[0]


def printed(
    answer: bytes, found: Sequence[Row], *, rows: str, columns: Sequence[str], form: Output
) -> None:
    """Print a table of ``found``, or all that control said; that there is nothing is no data."""
    if form is Output.TABLE:
        text = table(found, columns)
    else:
        text = show(answer, rows=rows, columns=columns, output=form)
    typer.echo(text or "nothing found", err=not text)


def pod_status(pod: Pod) -> str:
    """One word as kubectl has it: the reason where there is one, else the phase."""
    if pod.draining:
        return "Draining"
    return pod.reason or pod.phase.capitalize()


def node_status(node: Node) -> str:
    """``Ready``, or why not, and whether it takes new pods."""
    state = "Ready" if node.ready else f"NotReady ({node.reason})" if node.reason else "NotReady"
    return state if node.schedulable else f"{state},SchedulingDisabled"


def cpu(used: Used | None, *amounts: Amount) -> str:
    """Cores: used, then the amounts."""
    first = "-" if used is None else f"{used.cpu:.2f}"
    return "/".join([first, *(f"{amount.cpu:g}" for amount in amounts)])


def memory(used: Used | None, *amounts: Amount) -> str:
    """MiB: used, then the amounts."""
    first = "-" if used is None else f"{used.memory_mb:.0f}"
    return "/".join([first, *(str(amount.memory_mb) for amount in amounts)]) + " MiB"


def gpus(*amounts: Amount) -> str:
    """Whole GPUs."""
    return "/".join(str(amount.gpus) for amount in amounts)


def age(since: datetime, now: datetime) -> str:
    """How long ago in its largest unit: ``45s``, ``12m``, ``3h``, ``2d``."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
