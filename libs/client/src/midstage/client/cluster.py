"""The clusters: ``get nodes|pods``, ``describe``, ``logs``, ``events``: wrappers of control's API.

A pod is named by its name or a prefix that only one pod has. Amounts read used/asked/there.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from midstage.client import api, changes, describe
from midstage.client.inventory import (
    Node,
    Nodes,
    Pod,
    Pods,
    age,
    cpu,
    gpus,
    memory,
    node_status,
    pod_named,
    pod_status,
    read,
)
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, Row, show, table

NODES = ("name", "cluster", "status", "pods", "cpu", "memory", "gpus", "taints")
PODS = ("name", "app", "revision", "ready", "status", "restarts", "age", "node", "cpu", "memory")
_PAGE = "1000"


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    describe.register(app)
    app.command("logs")(logs)
    app.command("events")(changes.events)


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("nodes")(nodes)
    group.command("pods")(pods)


def nodes(
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the nodes: whether they take pods, what is used, asked for and there."""
    control = api.service("control", directory=directory, server=server)
    answer = control.ask("/v1/nodes", {})
    found = read(answer, Nodes)
    for cluster in found.clusters:
        if not cluster.reachable:
            _say(f"{cluster.cluster} can't be asked ({cluster.reason}); this is old")
    _print(answer, [_node(node) for node in found.nodes], rows="nodes", columns=NODES, form=output)


def pods(
    *,
    app: Annotated[str | None, typer.Option(help="Only this application's.")] = None,
    node: Annotated[str | None, typer.Option(help="Only on this node.")] = None,
    ready: Annotated[
        bool | None, typer.Option("--ready/--not-ready", help="Only those that are, or are not.")
    ] = None,
    q: Annotated[str | None, typer.Option("-q", help="Only with this in the name.")] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the pods: what they run, where, and why one is not ready."""
    control = api.service("control", directory=directory, server=server)
    query = {
        "app": app,
        "node": node,
        "ready": None if ready is None else str(ready).lower(),
        "q": q,
        "limit": _PAGE,
    }
    answer = _all(control, query)
    now = datetime.now(UTC)
    found = [_pod(pod, now) for pod in read(answer, Pods).pods]
    _print(answer, found, rows="pods", columns=PODS, form=output)


def logs(
    pod: Annotated[str, typer.Argument(metavar="POD", help="A pod's name, or how it begins.")],
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it writes.")] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, help="Only the last lines, so many of them.")
    ] = None,
    previous: Annotated[
        bool, typer.Option("-p", "--previous", help="Of the process before its last restart.")
    ] = False,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what a pod wrote, byte for byte."""
    control = api.service("control", directory=directory, server=server)
    found = pod_named(control, pod)
    where = "/".join(quote(part, safe="") for part in (found.cluster, found.namespace, found.name))
    query = {
        "follow": str(follow).lower(),
        "previous": str(previous).lower(),
        "tail": None if tail is None else str(tail),
    }
    try:
        with control.pieces(f"/v1/pods/{where}/logs", query) as pieces:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        _say("stopped")


def _all(control: api.Service, query: Mapping[str, str | None]) -> bytes:
    """All pages as one answer."""
    whole: list[msgspec.Raw] = []
    after: str | None = None
    while True:
        page = read(control.ask("/v1/pods", {**query, "after": after}), _Page)
        whole += page.pods
        after = page.next
        if after is None:
            return msgspec.json.encode({"pods": whole})


class _Page(msgspec.Struct):
    pods: list[msgspec.Raw]
    next: str | None = None


def _node(node: Node) -> Row:
    return {
        "name": node.name,
        "cluster": node.cluster,
        "status": node_status(node),
        "pods": node.pods,
        "cpu": cpu(node.used, node.requested, node.capacity),
        "memory": memory(node.used, node.requested, node.capacity),
        "gpus": gpus(node.requested, node.capacity),
        "taints": node.taints or None,
    }


def _pod(pod: Pod, now: datetime) -> Row:
    return {
        "name": pod.name,
        "app": pod.app,
        "revision": pod.revision,
        "ready": pod.ready,
        "status": pod_status(pod),
        "restarts": pod.restarts,
        "age": age(pod.created_at, now),
        "node": pod.node or None,
        "cpu": cpu(pod.used, pod.requests),
        "memory": memory(pod.used, pod.requests),
    }


def _print(
    answer: bytes, found: list[Row], *, rows: str, columns: tuple[str, ...], form: Output
) -> None:
    """A table of ``found``, or all that control said; that there is nothing is no data."""
    if form is Output.TABLE:
        text = table(found, columns)
    else:
        text = show(answer, rows=rows, columns=columns, output=form)
    typer.echo(text or "nothing found", err=not text)


def _say(text: str) -> None:
    typer.echo(f"midstage: {text}", err=True)
