"""``midstage get workloads|endpoints``: what the clusters were told, and where they send to."""

from collections.abc import Sequence

import msgspec
import typer

from midstage.client import api
from midstage.client.inventory import printed, read
from midstage.client.pages import App, ClusterName, Labels, Limit, Namespace, Search, whole
from midstage.client.platform import HERE, Directory, Server
from midstage.client.show import Output, OutputOption, Row

WORKLOADS = ("name", "cluster", "app", "revision", "replicas", "ready", "drift", "reason")
ENDPOINTS = ("name", "cluster", "service", "app", "ready", "addresses")
_SHOWN = 3


class _Workload(msgspec.Struct):
    cluster: str
    name: str
    app: str
    revision: str
    replicas: int
    ready: int
    drift: list[str] = []
    reason: str = ""


class _Workloads(msgspec.Struct):
    workloads: list[_Workload]


class _Endpoint(msgspec.Struct):
    address: str
    ready: bool


class _Slice(msgspec.Struct):
    cluster: str
    name: str
    app: str
    service: str
    ready: int
    endpoints: list[_Endpoint]


class _Slices(msgspec.Struct):
    endpoints: list[_Slice]


def register_get(group: typer.Typer) -> None:
    """Add to ``midstage get``."""
    group.command("workloads")(workloads)
    group.command("endpoints")(endpoints)


def workloads(
    *,
    app: App = None,
    cluster: ClusterName = None,
    namespace: Namespace = None,
    labels: Labels = None,
    q: Search = None,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print the workloads: so many replicas of a revision, and what somebody else has changed."""
    control = api.service("control", directory=directory, server=server)
    query = {"app": app, "cluster": cluster, "namespace": namespace, "labels": labels, "q": q}
    answer = whole(control, "/v1/workloads", "workloads", query, limit=limit)
    found = [_workload(each) for each in read(answer, _Workloads).workloads]
    printed(answer, found, rows="workloads", columns=WORKLOADS, form=output)


def endpoints(
    *,
    app: App = None,
    cluster: ClusterName = None,
    namespace: Namespace = None,
    labels: Labels = None,
    q: Search = None,
    limit: Limit = None,
    output: OutputOption = Output.TABLE,
    directory: Directory = HERE,
    server: Server = None,
) -> None:
    """Print where the clusters themselves send the requests of a service; a local one has none."""
    control = api.service("control", directory=directory, server=server)
    query = {"app": app, "cluster": cluster, "namespace": namespace, "labels": labels, "q": q}
    answer = whole(control, "/v1/endpoints", "endpoints", query, limit=limit)
    found = [_slice(each) for each in read(answer, _Slices).endpoints]
    printed(answer, found, rows="endpoints", columns=ENDPOINTS, form=output)


def _workload(each: _Workload) -> Row:
    return {
        "name": each.name,
        "cluster": each.cluster,
        "app": each.app,
        "revision": each.revision,
        "replicas": each.replicas,
        "ready": each.ready,
        "drift": each.drift or None,
        "reason": each.reason or None,
    }


def _slice(each: _Slice) -> Row:
    return {
        "name": each.name,
        "cluster": each.cluster,
        "service": each.service,
        "app": each.app,
        "ready": f"{each.ready}/{len(each.endpoints)}",
        "addresses": _addresses([one.address for one in each.endpoints if one.ready]),
    }


def _addresses(ready: Sequence[str]) -> str | None:
    """The first ones, as kubectl shows them."""
    more = f" + {len(ready) - _SHOWN} more" if len(ready) > _SHOWN else ""
    return ",".join(ready[:_SHOWN]) + more if ready else None
