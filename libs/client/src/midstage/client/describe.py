"""``midstage describe node|pod|app``: all that is known of one thing, for people or programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer

from midstage.client import api, changes
from midstage.client.inventory import (
    App,
    Node,
    Pod,
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
from midstage.client.show import NOTHING, Output, OutputOption, cell, show, table
from midstage.client.standing import DeployServer, deploy_of, standing

Field = tuple[str, object]
PODS = ("name", "revision", "status", "restarts", "age", "node", "cpu", "memory")
_LATELY = 10


def register(app: typer.Typer) -> None:
    """Add ``describe`` to ``app``."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Print all that is known of one thing."
    )
    group.command("node")(node)
    group.command("pod")(pod)
    group.command("app")(app_)
    app.add_typer(group, name="describe")


def node(
    name: Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")],
    *,
    cluster: Annotated[str | None, typer.Option(help="Where several have one.")] = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print a node, its pods, and what happened to it lately."""
    control = api.service("control", directory=directory, server=server)
    answer = control.ask(f"/v1/nodes/{quote(name, safe='')}", {"cluster": cluster})
    if output is not Output.TABLE:
        typer.echo(show(answer, rows="running", columns=(), output=output))
        return
    found = read(answer, Node)
    fields: Sequence[Field] = (
        ("Name", found.name),
        ("Cluster", found.cluster),
        ("Status", node_status(found)),
        ("CPU used/asked/there", cpu(found.used, found.requested, found.capacity)),
        ("Memory used/asked/there", memory(found.used, found.requested, found.capacity)),
        ("GPUs asked/there", gpus(found.requested, found.capacity)),
        ("Labels", ", ".join(f"{k}={v}" for k, v in sorted(found.labels.items())) or None),
        ("Taints", ", ".join(found.taints) or None),
    )
    _print(fields, found.running, changes.lately(control, _LATELY, kind="node", name=found.name))


def pod(
    name: Annotated[str, typer.Argument(metavar="POD", help="A pod's name, or how it begins.")],
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print a pod: where it is in its life and why, and what happened to it lately."""
    control = api.service("control", directory=directory, server=server)
    found = pod_named(control, name)
    if output is not Output.TABLE:
        where = "/".join(quote(each, safe="") for each in _path(found))
        answer = control.ask(f"/v1/pods/{where}", {})
        typer.echo(show(answer, rows="pods", columns=(), output=output))
        return
    fields: Sequence[Field] = (
        ("Name", found.name),
        ("Cluster", found.cluster),
        ("Namespace", found.namespace),
        ("App", found.app),
        ("Revision", found.revision),
        ("Workload", found.workload),
        ("Node", found.node or None),
        ("Status", pod_status(found)),
        ("Phase", found.phase),
        ("Ready", found.ready),
        ("Draining", found.draining),
        ("Address", found.address or None),
        ("Restarts", found.restarts),
        ("Exit code", found.exit_code),
        ("CPU used/asked", cpu(found.used, found.requests)),
        ("Memory used/asked", memory(found.used, found.requests)),
        ("GPUs asked", found.requests.gpus),
        ("Created", _time(found.created_at)),
        ("Started", _time(found.started_at)),
        ("Ready since", _time(found.ready_at)),
        ("Message", found.message or None),
    )
    _print(fields, (), changes.lately(control, _LATELY, kind="pod", name=found.name))


def app_(
    name: Annotated[str, typer.Argument(metavar="APP", help="The application's name.")],
    *,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
    deploy_server: DeployServer = None,
) -> None:
    """Print what runs of an application and why something does not, how it stands, its drift."""
    control = api.service("control", directory=directory, server=server)
    answer = control.ask(f"/v1/apps/{quote(name, safe='')}", {})
    if output is not Output.TABLE:
        typer.echo(show(answer, rows="running", columns=(), output=output))
        return
    found = read(answer, App)
    deploy = deploy_of(directory, server, deploy_server)
    fields: Sequence[Field] = (
        ("Name", found.app),
        ("Replicas told", found.desired),
        ("Ready", found.ready),
        ("Starting", found.starting),
        ("Restarts", found.restarts),
        *(
            (f"Revision {each.revision}", f"{each.ready} of {each.desired} ready")
            for each in found.revisions
        ),
        *(("Not ready", reason) for reason in found.reasons),
        *(standing(deploy, name) if deploy is not None else ()),
    )
    _print(fields, found.running, changes.lately(control, _LATELY, app=found.app))


def _print(fields: Sequence[Field], pods: Sequence[Pod], lately: Sequence[str]) -> None:
    width = max(len(name) for name, _ in fields) + 1
    for name, value in fields:
        first, *more = _lines(value)
        typer.echo(f"{name + ':':<{width}}  {first}")
        for line in more:
            typer.echo(f"{'':<{width}}  {line}")
    if pods:
        now = datetime.now(UTC)
        rows = [
            {
                "name": each.name,
                "revision": each.revision,
                "status": pod_status(each),
                "restarts": each.restarts,
                "age": age(each.created_at, now),
                "node": each.node or None,
                "cpu": cpu(each.used, each.requests),
                "memory": memory(each.used, each.requests),
            }
            for each in pods
        ]
        typer.echo("\n" + table(rows, PODS))
    if lately:
        typer.echo("\n" + "\n".join(lately))


def _lines(value: object) -> Sequence[str]:
    """A value as lines: a message may have many; control characters are shown, never obeyed."""
    if isinstance(value, str):
        return [cell(line) for line in value.splitlines()] or [NOTHING]
    return [cell(value)]


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")


def _path(pod: Pod) -> tuple[str, str, str]:
    return pod.cluster, pod.namespace, pod.name
