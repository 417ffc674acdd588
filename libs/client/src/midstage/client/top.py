"""``midstage top nodes|pods``: what is used beside what was asked for and is there.

The most used come first; what was not measured comes last, as ``-``, because unknown is not zero.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from midstage.client import api
from midstage.client.inventory import Node, Nodes, Pod, Pods, Used, printed, read
from midstage.client.pages import App, ClusterName, Labels, Limit, Search, whole
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, Row

NODES = (
    *("name", "cluster", "cpu", "cpu_asked", "cpu_there", "cpu_%"),
    *(
        "memory_mib",
        "memory_asked",
        "memory_there",
        "memory_%",
        "gpu_%",
        "gpus_asked",
        "gpus_there",
    ),
)
PODS = (
    *("name", "app", "node", "cpu", "cpu_asked", "cpu_%"),
    *("memory_mib", "memory_asked", "memory_%", "gpu_%", "gpus_asked"),
)
N = TypeVar("N", Node, Pod)


class By(StrEnum):
    """What the rows are sorted by, the largest first."""

    CPU = "cpu"
    MEMORY = "memory"
    GPU = "gpu"


Sort = Annotated[By, typer.Option("--sort", help="What the largest of comes first.")]


def register(app: typer.Typer) -> None:
    """Add ``top`` to ``app``."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Print what is used, beside what was asked for and is there.",
    )
    group.command("nodes")(nodes)
    group.command("pods")(pods)
    app.add_typer(group, name="top")


def nodes(
    *,
    cluster: ClusterName = None,
    labels: Labels = None,
    q: Search = None,
    sort: Sort = By.CPU,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what each node uses, what its pods have asked for, and what it has."""
    control = api.service("control", directory=directory, server=server)
    query = {"cluster": cluster, "labels": labels, "q": q}
    answer = whole(control, "/v1/nodes", "nodes", query)
    found = _sorted(read(answer, Nodes).nodes, sort)[:limit]
    printed(answer, [_node(each) for each in found], rows="nodes", columns=NODES, form=output)


def pods(
    *,
    app: App = None,
    node: Annotated[str | None, typer.Option(help="Only on this node.")] = None,
    cluster: ClusterName = None,
    labels: Labels = None,
    q: Search = None,
    sort: Sort = By.CPU,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print what each pod uses and what it has asked for."""
    control = api.service("control", directory=directory, server=server)
    query = {"app": app, "node": node, "cluster": cluster, "labels": labels, "q": q}
    answer = whole(control, "/v1/pods", "pods", query)
    found = _sorted(read(answer, Pods).pods, sort)[:limit]
    printed(answer, [_pod(each) for each in found], rows="pods", columns=PODS, form=output)


def _sorted(found: Iterable[N], by: By) -> list[N]:
    """The largest first, then by name; unknown last."""
    return sorted(found, key=lambda each: (-_figure(each.used, by), each.name))


def _figure(used: Used | None, by: By) -> float:
    figures = {
        By.CPU: None if used is None else used.cpu,
        By.MEMORY: None if used is None else used.memory_mb,
        By.GPU: None if used is None else used.gpu,
    }
    figure = figures[by]
    return -1.0 if figure is None else figure


def _node(node: Node) -> Row:
    return {
        "name": node.name,
        "cluster": node.cluster,
        **_used(node.used, node.capacity.cpu, node.capacity.memory_mb),
        "cpu_asked": node.requested.cpu,
        "cpu_there": node.capacity.cpu,
        "memory_asked": node.requested.memory_mb,
        "memory_there": node.capacity.memory_mb,
        "gpus_asked": node.requested.gpus,
        "gpus_there": node.capacity.gpus,
    }


def _pod(pod: Pod) -> Row:
    return {
        "name": pod.name,
        "app": pod.app or None,
        "node": pod.node or None,
        **_used(pod.used, pod.requests.cpu, pod.requests.memory_mb),
        "cpu_asked": pod.requests.cpu,
        "memory_asked": pod.requests.memory_mb,
        "gpus_asked": pod.requests.gpus,
    }


def _used(used: Used | None, cpu: float, memory_mb: float) -> Row:
    """What is used, and which part of the whole that is."""
    if used is None:
        return {}
    return {
        "cpu": round(used.cpu, 2),
        "cpu_%": _percent(used.cpu, cpu),
        "memory_mib": round(used.memory_mb),
        "memory_%": _percent(used.memory_mb, memory_mb),
        "gpu_%": None if used.gpu is None else round(100 * used.gpu),
    }


def _percent(part: float, whole_of: float) -> int | None:
    return round(100 * part / whole_of) if whole_of else None
