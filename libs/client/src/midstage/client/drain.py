"""``midstage cordon|drain|uncordon NODE``: empty a node for whoever works on it, and fill it again.

Draining cordons first, then evicts our pods one by one of each application, the next when it has as
many ready as before. The cluster itself has the last word: an eviction that the application's
disruption budget does not let is asked again until it does, or the time is up.
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
    timeout: Annotated[float, typer.Option(min=1, help="Give up after so many seconds.")] = 600.0,
    directory: Directory = HERE,
    server: Server = None,
    token_file: TokenFile = None,
) -> None:
    """Empty a node: no new pods, and ours move elsewhere as their applications can spare them."""
    control = api.service("control", directory=directory, server=server, token_file=token_file)
    _cordon(control, node, cluster, on=True)
    draining = _Draining(control=control, node=node, cluster=cluster)
    deadline = time.monotonic() + timeout
    while left := draining.turn():
        if time.monotonic() >= deadline:
            names = ", ".join(pod.name for pod in left)
            raise UnavailableError(
                f"after {timeout:g} s there are still {names} on {node}, which takes no new pods"
                f"{draining.why}; drain it again, or midstage uncordon {node}"
            )
        time.sleep(_EACH_S)
    typer.echo(f"{node} is empty, and takes no new pods until midstage uncordon {node}")


@dataclass(slots=True, kw_only=True)
class _Draining:
    """One node on its way; ``why``: what held up the last eviction that was refused."""

    control: api.Service
    node: str
    cluster: str | None
    why: str = ""
    evicted: set[str] = field(default_factory=set)
    ready: dict[str, int] = field(default_factory=dict)

    def turn(self) -> Sequence[Pod]:
        """Evict what may go now; the pods of ours that are still on the node."""
        path = f"/v1/nodes/{quote(self.node, safe='')}"
        running = read(self.control.ask(path, {"cluster": self.cluster}), Node).running
        left = [pod for pod in running if pod.app]
        for app in sorted({pod.app for pod in left}):
            staying = [p for p in left if p.app == app and p.uid not in self.evicted]
            if staying and self._can_spare_one(app):
                self._evict(staying[0])
        return left

    def _can_spare_one(self, app: str) -> bool:
        """Whether as many are ready as when the first one of it had to go."""
        ready = read(self.control.ask(f"/v1/apps/{quote(app, safe='')}", {}), App).ready
        return ready >= self.ready.setdefault(app, ready)

    def _evict(self, pod: Pod) -> None:
        where = "/".join(quote(part, safe="") for part in (pod.cluster, pod.namespace, pod.name))
        path = f"/v1/pods/{where}/evicted"
        try:
            self.control.change("PUT", path, command_id=uuid.uuid4().hex, body={"uid": pod.uid})
        except UnavailableError as e:
            self.why = f" ({e})"
            return
        except RefusedError as e:
            if e.status != HTTPStatus.CONFLICT:
                raise
        self.evicted.add(pod.uid)
        typer.echo(f"midstage: {pod.name} moves elsewhere", err=True)


def _cordon(control: api.Service, node: str, cluster: str | None, *, on: bool) -> None:
    query = f"?cluster={quote(cluster, safe='')}" if cluster else ""
    path = f"/v1/nodes/{quote(node, safe='')}/cordoned{query}"
    control.change("PUT", path, command_id=uuid.uuid4().hex, body={"on": on})
