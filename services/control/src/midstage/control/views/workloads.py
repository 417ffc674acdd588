"""Workloads and endpoints as rows of the API: pure."""

from datetime import datetime

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.cluster import EndpointsObserved, EndpointState, WorkloadObserved
from midstage.contracts.inventory import Inventory
from midstage.control.views.selecting import Wanted, page


class WorkloadRow(TypedDict):
    """A workload; the fields mean what the fact ``WorkloadObserved`` says."""

    cluster: str
    namespace: str
    name: str
    app: str
    revision: str
    replicas: int
    ready: int
    spec_version: int
    scale_version: int
    drift: list[str]
    reason: str
    observed_at: datetime


class Workloads(TypedDict):
    """Workloads by cluster, namespace and name; ``next`` null: there are no more."""

    workloads: list[WorkloadRow]
    next: str | None


class EndpointRow(TypedDict):
    """One address behind a service."""

    address: str
    ready: bool
    serving: bool
    terminating: bool
    pod: str
    node: str


class EndpointsRow(TypedDict):
    """One slice of the addresses behind a service, as the cluster itself sends requests there."""

    cluster: str
    namespace: str
    name: str
    app: str
    service: str
    ready: int
    endpoints: list[EndpointRow]
    observed_at: datetime


class EndpointSlices(TypedDict):
    """Slices by cluster, namespace and name; ``next`` null: there are no more."""

    endpoints: list[EndpointsRow]
    next: str | None


def workloads(held: Inventory, wanted: Wanted, *, after: str | None, limit: int) -> Workloads:
    """At most ``limit`` of the wanted workloads after the key ``after``."""
    shown, more = page(held.workloads(), wanted, after=after, limit=limit)
    return {"workloads": [_workload(each) for each in shown], "next": more}


def endpoints(held: Inventory, wanted: Wanted, *, after: str | None, limit: int) -> EndpointSlices:
    """At most ``limit`` of the wanted slices after the key ``after``."""
    shown, more = page(held.endpoints(), wanted, after=after, limit=limit)
    return {"endpoints": [_slice(each) for each in shown], "next": more}


def _workload(fact: WorkloadObserved) -> WorkloadRow:
    return {
        "cluster": fact.cluster,
        "namespace": fact.namespace,
        "name": fact.name,
        "app": fact.app,
        "revision": fact.revision,
        "replicas": fact.replicas,
        "ready": fact.ready,
        "spec_version": fact.spec_version,
        "scale_version": fact.scale_version,
        "drift": list(fact.drift),
        "reason": fact.reason,
        "observed_at": fact.observed_at,
    }


def _slice(fact: EndpointsObserved) -> EndpointsRow:
    return {
        "cluster": fact.cluster,
        "namespace": fact.namespace,
        "name": fact.name,
        "app": fact.app,
        "service": fact.service,
        "ready": sum(each.ready for each in fact.endpoints),
        "endpoints": [_endpoint(each) for each in fact.endpoints],
        "observed_at": fact.observed_at,
    }


def _endpoint(state: EndpointState) -> EndpointRow:
    return {
        "address": state.address,
        "ready": state.ready,
        "serving": state.serving,
        "terminating": state.terminating,
        "pod": state.pod,
        "node": state.node,
    }
