"""The clusters: ``get nodes|pods``, ``logs``, and more of its kind: wrappers of control's API.

A pod is named by its name or a prefix that only one pod has. Amounts read used/asked/there.
"""

import sys
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer

from midstage.client import api, changes, describe, drain, top, workloads
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
    printed,
    read,
)
from midstage.client.pages import App, ClusterName, Labels, Limit, Namespace, Search, whole
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, Row

NODES = ("name", "cluster", "status", "pods", "cpu", "memory", "gpus", "taints")
PODS = ("name", "app", "revision", "ready", "status", "restarts", "age", "node", "cpu", "memory")
Ready = Annotated[
    bool | None, typer.Option("--ready/--not-ready", help="Only those that are, or are not.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    describe.register(app)
    top.register(app)
    drain.register(app)
    app.command("logs")(logs)
    app.command("events")(changes.events)


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("nodes")(nodes)
    group.command("pods")(pods)
    workloads.register_get(group)


def nodes(
    *,
    cluster: ClusterName = None,
    labels: Labels = None,
    q: Search = None,
    ready: Ready = None,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the nodes: whether they take pods, what is used, asked for and there."""
    control = api.service("control", directory=directory, server=server)
    query = {"cluster": cluster, "labels": labels, "q": q, "ready": _said(ready)}
    answer = whole(control, "/v1/nodes", "nodes", query, limit=limit)
    found = read(answer, Nodes)
    for each in found.clusters:
        if not each.reachable:
            _say(f"{each.cluster} can't be asked ({each.reason}); this is old")
    rows = [_node(node) for node in found.nodes]
    printed(answer, rows, rows="nodes", columns=NODES, form=output)


def pods(
    *,
    app: App = None,
    node: Annotated[str | None, typer.Option(help="Only on this node.")] = None,
    phase: Annotated[
        str | None,
        typer.Option(help="Only in: pending, starting, running, backoff, stopping, lost."),
    ] = None,
    ready: Ready = None,
    cluster: ClusterName = None,
    namespace: Namespace = None,
    labels: Labels = None,
    q: Search = None,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the pods: what they run, where, and why one is not ready."""
    control = api.service("control", directory=directory, server=server)
    query = {
        "app": app,
        "node": node,
        "phase": phase,
        "ready": _said(ready),
        "cluster": cluster,
        "namespace": namespace,
        "labels": labels,
        "q": q,
    }
    answer = whole(control, "/v1/pods", "pods", query, limit=limit)
    now = datetime.now(UTC)
    found = [_pod(pod, now) for pod in read(answer, Pods).pods]
    printed(answer, found, rows="pods", columns=PODS, form=output)


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


def _said(flag: bool | None) -> str | None:  # noqa: FBT001  a query parameter
    return None if flag is None else str(flag).lower()


def _say(text: str) -> None:
    typer.echo(f"midstage: {text}", err=True)
