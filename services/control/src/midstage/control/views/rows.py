"""Nodes, pods and clusters as rows of the API: pure.

A list is cut after ``limit`` rows; ``next`` is what to give as ``after`` for the rest. What was
not measured, or not yet, is null, never zero.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.cluster import Amount, NodeObserved, NodeUsed, Phase, PodObserved, PodUsed
from midstage.contracts.inventory import Inventory
from midstage.control.views.selecting import Wanted, page

SILENT = timedelta(seconds=20)
"""A cluster that answers is heard of each 5 s."""


class AmountRow(TypedDict):
    """Cores, MiB, whole GPUs."""

    cpu: float
    memory_mb: int
    gpus: int


class UsedRow(TypedDict):
    """What is used now: cores, MiB, share of the GPUs' time, and when it was measured."""

    cpu: float
    memory_mb: float
    gpu: float | None
    at: datetime


class ClusterRow(TypedDict):
    """A cluster: up to when it answered, and why it does not now (null: it does).

    Heard of too long ago is unreachable as well: then nobody holds its lease.
    """

    cluster: str
    reachable: bool
    reached_at: datetime | None
    reason: str | None
    nodes: int
    pods: int
    epoch: int


class NodeRow(TypedDict):
    """A node; ``requested`` is what its pods have asked for."""

    cluster: str
    name: str
    ready: bool
    schedulable: bool
    emptied: bool
    reason: str
    pods: int
    capacity: AmountRow
    requested: AmountRow
    used: UsedRow | None
    labels: dict[str, str]
    taints: list[str]
    observed_at: datetime


class PodRow(TypedDict):
    """A pod; the fields mean what the fact ``PodObserved`` says."""

    cluster: str
    namespace: str
    name: str
    uid: str
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
    exit_code: int | None
    requests: AmountRow
    used: UsedRow | None
    created_at: datetime
    started_at: datetime | None
    ready_at: datetime | None
    observed_at: datetime


class Clusters(TypedDict):
    """All clusters ever heard of."""

    clusters: list[ClusterRow]


class Nodes(TypedDict):
    """Some nodes, and the clusters, because what is known of one that is unreachable is old."""

    nodes: list[NodeRow]
    next: str | None
    clusters: list[ClusterRow]


class NodeAnswer(NodeRow):
    """One node with its pods."""

    running: list[PodRow]


class Pods(TypedDict):
    """Pods by cluster, namespace and name; ``next`` null: there are no more."""

    pods: list[PodRow]
    next: str | None


def clusters(held: Inventory, now: datetime) -> Clusters:
    """All clusters, as they stand at ``now``."""
    nodes, pods = held.nodes(), held.pods()
    return {
        "clusters": [
            _cluster(
                held,
                name,
                now,
                nodes=sum(node.cluster == name for node in nodes),
                pods=sum(pod.cluster == name for pod in pods),
            )
            for name in held.clusters()
        ]
    }


def nodes(
    held: Inventory, now: datetime, wanted: Wanted, *, after: str | None, limit: int
) -> Nodes:
    """At most ``limit`` of the wanted nodes after ``after``, and the clusters as they stand."""
    shown, more = page(held.nodes(), wanted, after=after, limit=limit)
    on: dict[tuple[str, str], list[PodObserved]] = {}
    for pod in held.pods():
        on.setdefault((pod.cluster, pod.node), []).append(pod)
    found = [_node(held, node, on.get((node.cluster, node.name), [])) for node in shown]
    return {"nodes": found, "next": more, "clusters": clusters(held, now)["clusters"]}


def node(held: Inventory, found: NodeObserved) -> NodeAnswer:
    """One node with its pods."""
    on = [p for p in held.pods() if (p.cluster, p.node) == (found.cluster, found.name)]
    return {**_node(held, found, on), "running": [pod(held, each) for each in on]}


def pods(held: Inventory, wanted: Wanted, *, after: str | None, limit: int) -> Pods:
    """At most ``limit`` of the wanted pods after the key ``after``."""
    all_of = held.pods() if wanted.app is None else held.pods_of(wanted.app)
    shown, more = page(all_of, wanted, after=after, limit=limit)
    return {"pods": [pod(held, each) for each in shown], "next": more}


def pod(held: Inventory, fact: PodObserved) -> PodRow:
    """One pod."""
    return {
        "cluster": fact.cluster,
        "namespace": fact.namespace,
        "name": fact.name,
        "uid": fact.uid,
        "app": fact.app,
        "revision": fact.revision,
        "workload": fact.workload,
        "node": fact.node,
        "phase": fact.phase.value,
        "ready": fact.ready,
        "draining": fact.draining,
        "address": fact.address,
        "reason": fact.reason,
        "message": fact.message,
        "restarts": fact.restarts,
        "exit_code": fact.exit_code,
        "requests": _amount(fact.requests),
        "used": _used(held.usage(fact)),
        "created_at": fact.created_at,
        "started_at": fact.started_at,
        "ready_at": fact.ready_at,
        "observed_at": fact.observed_at,
    }


def _cluster(held: Inventory, name: str, now: datetime, *, nodes: int, pods: int) -> ClusterRow:
    reason = _away(held, name, now)
    return {
        "cluster": name,
        "reachable": reason is None,
        "reached_at": held.reached_at(name),
        "reason": reason,
        "nodes": nodes,
        "pods": pods,
        "epoch": held.epoch(name),
    }


def _away(held: Inventory, name: str, now: datetime) -> str | None:
    away, reached = held.unreachable(name), held.reached_at(name)
    if away is not None:
        return away.reason
    if reached is None or now - reached > SILENT:
        return "nothing was heard of it lately; is a control running for it?"
    return None


def _node(held: Inventory, fact: NodeObserved, on: Sequence[PodObserved]) -> NodeRow:
    counted = [each for each in on if each.phase is not Phase.LOST]
    return {
        "cluster": fact.cluster,
        "name": fact.name,
        "ready": fact.ready,
        "schedulable": fact.schedulable,
        "emptied": fact.emptied,
        "reason": fact.reason,
        "pods": len(on),
        "capacity": _amount(fact.capacity),
        "requested": {
            "cpu": round(sum(each.requests.cpu for each in counted), 6),
            "memory_mb": sum(each.requests.memory_mb for each in counted),
            "gpus": sum(each.requests.gpus for each in counted),
        },
        "used": _used(held.node_usage(fact)),
        "labels": fact.labels,
        "taints": [f"{taint.key}={taint.value}" for taint in fact.taints],
        "observed_at": fact.observed_at,
    }


def _amount(amount: Amount) -> AmountRow:
    return {"cpu": amount.cpu, "memory_mb": amount.memory_mb, "gpus": amount.gpus}


def _used(fact: PodUsed | NodeUsed | None) -> UsedRow | None:
    if fact is None:
        return None
    return {"cpu": fact.cpu, "memory_mb": fact.memory_mb, "gpu": fact.gpu, "at": fact.observed_at}
