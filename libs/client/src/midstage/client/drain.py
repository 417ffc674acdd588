"""``midstage cordon|drain|uncordon NODE``: empty a node for whoever works on it, and fill it again.

Draining says that the node shall be emptied, and deploy does it: others come elsewhere and serve
first. It goes on though nobody watches. What deploy does not move is named, and evicted on request
alone, one by one of each application; the cluster itself has the last word by disruption budgets.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

import typer

from midstage.client import api
from midstage.client.inventory import App, Node, Pod, read
from midstage.client.platform import HERE, Directory, Server, TokenFile
from midstage.client.standing import DeployServer, deploy_of
from midstage.client.unmoved import strangers, unmoved
from midstage.contracts.errors import RefusedError, UnavailableError

_EACH_S = 0.5

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")]
Cluster = Annotated[str | None, typer.Option(help="Where several have one.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("cordon")(cordon)
    app.command("uncordon")(uncordon)
    app.command("drain")(drain)


def cordon(
    node: NodeName,
    *,
    cluster: Cluster = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Let a node take no new pods; those on it run on."""
    control = api.service("control", directory=directory, server=server, token_file=token_file)
    _cordon(control, node, cluster, on=True)
    typer.echo(f"{node} takes no new pods")


def uncordon(
    node: NodeName,
    *,
    cluster: Cluster = None,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Let a node take pods again."""
    control = api.service("control", directory=directory, server=server, token_file=token_file)
    _cordon(control, node, cluster, on=False)
    typer.echo(f"{node} takes pods again")


def drain(
    node: NodeName,
    *,
    cluster: Cluster = None,
    evict: Annotated[
        bool,
        typer.Option(
            "--evict",
            help="End pods before others serve in their place, as disruption budgets let; for "
            "where there is no room elsewhere, and what no spec of midstage's runs.",
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Give up after so many seconds.")] = 600.0,
    directory: Directory = HERE,
    server: Server = None,
    deploy_server: DeployServer = None,
    token_file: TokenFile = None,
) -> None:
    """Empty a node: no new pods, and ours move elsewhere; none ends before another serves."""
    control = api.service("control", directory=directory, server=server, token_file=token_file)
    deploy = deploy_of(directory, server, deploy_server)
    _cordon(control, node, cluster, on=True, emptied=True)
    draining = _Draining(control=control, deploy=deploy, node=node, cluster=cluster, evicts=evict)
    deadline = time.monotonic() + timeout
    while left := draining.turn():
        if draining.is_stuck:
            raise RefusedError(
                f"nothing on {node} moves any more: {draining.blocks()}. It takes no new pods "
                f"until midstage uncordon {node}"
            )
        if time.monotonic() >= deadline:
            raise UnavailableError(
                f"after {timeout:g} s there are still {', '.join(pod.name for pod in left)} on "
                f"{node}: {draining.blocks()}. It is emptied further until midstage uncordon {node}"
            )
        time.sleep(_EACH_S)
    empty = "has no pods of midstage's any more" if draining.others else "is empty"
    typer.echo(f"{node} {empty}, and takes no new pods until midstage uncordon {node}")


@dataclass(slots=True, kw_only=True)
class _Draining:
    """One node on its way; ``left`` and ``why`` by application as they were told last."""

    control: api.Service
    deploy: api.Service | None
    node: str
    cluster: str | None
    evicts: bool
    left: dict[str, int] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    evicted: set[str] = field(default_factory=set)
    ready: dict[str, int] = field(default_factory=dict)
    unmoved: dict[str, str] = field(default_factory=dict)
    others: str = ""

    @property
    def is_stuck(self) -> bool:
        """Whether nobody moves any of what is left."""
        return not self.evicts and all(self.unmoved.get(app) for app in self.left)

    def turn(self) -> Sequence[Pod]:
        """Tell how far it is; the pods of ours that are still on the node."""
        path = f"/v1/nodes/{quote(self.node, safe='')}"
        running = read(self.control.ask(path, {"cluster": self.cluster}), Node).running
        pods = [pod for pod in running if pod.app]
        others = strangers(running, self.node)
        if others and others != self.others:
            typer.echo(f"midstage: {others}", err=True)
        self.others = others
        for app in sorted({pod.app for pod in pods} | self.left.keys()):
            here = [pod for pod in pods if pod.app == app]
            self._tell_left(app, len(here))
            if here:
                self._look_after(app, [pod for pod in here if pod.uid not in self.evicted])
        return pods

    def blocks(self) -> str:
        """What each application that is not gone waits for."""
        unknown = (
            "nothing is known to hold it; deploy moves what a spec of midstage's runs, and only "
            "while its rollout is not paused. --evict ends the rest as budgets let"
        )
        waiting = (
            f"{app}: {self.unmoved.get(app) or self.why.get(app) or unknown}" for app in self.left
        )
        return "; ".join(waiting)

    def _look_after(self, app: str, staying: Sequence[Pod]) -> None:
        found = read(self.control.ask(f"/v1/apps/{quote(app, safe='')}", {}), App)
        if not self.evicts:
            self._tell_why(app, "; ".join(found.reasons))
            self._tell_unmoved(app, staying)
        elif staying and found.ready >= self.ready.setdefault(app, found.ready):
            self._evict(staying[0])

    def _tell_left(self, app: str, count: int) -> None:
        if self.left.get(app, 0) == count:
            return
        told = f"{count} of {app} on {self.node}" if count else f"{app} is gone from {self.node}"
        typer.echo(f"midstage: {told}", err=True)
        if count:
            self.left[app] = count
        else:
            del self.left[app]

    def _tell_why(self, app: str, why: str) -> None:
        if why and self.why.get(app) != why:
            typer.echo(f"midstage: {app} waits: {why}", err=True)
        self.why[app] = why

    def _tell_unmoved(self, app: str, staying: Sequence[Pod]) -> None:
        why = unmoved(self.deploy, app, staying)
        if why and self.unmoved.get(app) != why:
            typer.echo(f"midstage: {app}: {why}", err=True)
        self.unmoved[app] = why

    def _evict(self, pod: Pod) -> None:
        where = "/".join(quote(part, safe="") for part in (pod.cluster, pod.namespace, pod.name))
        path = f"/v1/pods/{where}/evicted"
        try:
            self.control.change("PUT", path, command_id=uuid.uuid4().hex, body={"uid": pod.uid})
        except UnavailableError as e:
            self._tell_why(pod.app, str(e))
            return
        except RefusedError as e:
            if e.status != HTTPStatus.CONFLICT:
                raise
        self.evicted.add(pod.uid)


def _cordon(
    control: api.Service, node: str, cluster: str | None, *, on: bool, emptied: bool = False
) -> None:
    query = f"?cluster={quote(cluster, safe='')}" if cluster else ""
    path = f"/v1/nodes/{quote(node, safe='')}/cordoned{query}"
    asked = {"on": on, "emptied": emptied}
    control.change("PUT", path, command_id=uuid.uuid4().hex, body=asked)
