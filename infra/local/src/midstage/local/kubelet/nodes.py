"""The nodes of a file as nodes of Kubernetes: registered, their leases renewed each second.

A node that died on demand is left alone: its lease runs out, and the cluster finds out by itself.
One that somebody deleted is registered again, as a real kubelet does when it starts.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import msgspec

from midstage.chassis.logs import logger
from midstage.cluster import objects
from midstage.cluster.protocol import ConflictError
from midstage.contracts.cluster import Amount
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.local.kubelet.amounts import resources
from midstage.local.kubelet.answers import Node, Taint
from midstage.local.kubelet.cluster import STRATEGIC, Cluster
from midstage.local.kubelet.standing import HOST_IP, moment

_NODES = "/api/v1/nodes"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_RENEWED_S, _TOLD_S = 1.0, 10.0
_LEASE_S = 4
_PODS = 500
_BY_KUBERNETES = "node.kubernetes.io/"
_ENOUGH = {"status": "False", "reason": "NotLookedAt", "message": "a node here is a name with room"}
_CONDITIONS = {
    "Ready": {"status": "True", "reason": "KubeletReady", "message": "its pods are processes"},
    "MemoryPressure": _ENOUGH,
    "DiskPressure": _ENOUGH,
    "PIDPressure": _ENOUGH,
}

_log = logger(__name__)


@dataclass(slots=True, kw_only=True)
class Kept:
    """One node, and what is to be told of it."""

    node: objects.Node
    dead: bool = False
    allocatable: Amount | None = None
    registered: bool = False
    told_at: float = float("-inf")
    since: str = ""
    untold: bool = False
    due: asyncio.Event = field(default_factory=asyncio.Event)


class Version(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the server says of itself."""

    git_version: str = "v0.0.0"


class Nodes:
    """An async loop that keeps the nodes; logs and metrics of their pods are at ``port``."""

    name = "nodes"

    def __init__(
        self,
        *,
        cluster: Cluster,
        nodes: Sequence[objects.Node],
        port: int,
        now: Callable[[], datetime],
    ) -> None:
        """Nothing is registered yet."""
        self._cluster = cluster
        self._port = port
        self._now = now
        self._nodes = {node.name: Kept(node=node) for node in nodes}
        self._version = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Keep them until ``stop``."""
        async with asyncio.TaskGroup() as tasks:
            for kept in self._nodes.values():
                tasks.create_task(self._keep(kept, stop), name=f"node {kept.node.name}")

    @property
    def names(self) -> Sequence[str]:
        """All of them."""
        return tuple(self._nodes)

    def alive(self, name: str) -> bool:
        """Whether it is ours and did not die."""
        return name in self._nodes and not self._nodes[name].dead

    def living(self) -> Sequence[str]:
        """Those that did not die."""
        return [name for name, kept in self._nodes.items() if not kept.dead]

    def unready(self) -> str | None:
        """Which are not registered, or can't be told of now; None: all are well."""
        missing = [name for name, kept in self._nodes.items() if kept.untold or not kept.registered]
        return f"the API server does not know of {', '.join(missing)}" if missing else None

    def die(self, name: str) -> None:
        """It renews nothing any more; RefusedError where there is no such node."""
        self._of(name).dead = True

    async def revive(self, name: str) -> None:
        """It is as at the beginning: alive, schedulable, of its own size."""
        kept = self._of(name)
        kept.dead, kept.allocatable, kept.told_at = False, None, float("-inf")
        kept.since = moment(self._now())
        kept.due.set()
        await self.cordon(name, off=True)

    def limit(self, name: str, allocatable: Amount) -> None:
        """It has no more than that for pods."""
        kept = self._of(name)
        kept.allocatable, kept.told_at = allocatable, float("-inf")
        kept.due.set()

    async def cordon(self, name: str, *, off: bool) -> None:
        """It takes no new pods, or does again."""
        self._of(name)
        body = {"spec": {"unschedulable": None if off else True}}
        await self._cluster.merge(f"{_NODES}/{name}", body)

    def _of(self, name: str) -> Kept:
        if name not in self._nodes:
            raise RefusedError(f"there is no node {name} here", status=404)
        return self._nodes[name]

    async def _keep(self, kept: Kept, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            began = monotonic()
            if not kept.dead:
                await self._kept(kept)
            due = asyncio.create_task(kept.due.wait())
            left_s = max(0.0, began + _RENEWED_S - monotonic())
            await asyncio.wait({due, stopping}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            due.cancel()
            kept.due.clear()
        await stopping

    async def _kept(self, kept: Kept) -> None:
        name = kept.node.name
        try:
            if not kept.registered:
                await self._register(kept)
            if kept.told_at + _TOLD_S <= monotonic():
                body = {"status": self._status(kept)}
                await self._cluster.merge(f"{_NODES}/{name}/status", body, kind=STRATEGIC)
                kept.told_at = monotonic()
            await self._renew(name)
            kept.registered, kept.untold = True, False
        except UnavailableError as e:
            if not kept.untold:
                _log.warning("node_untold", node=name, reason=str(e))
            kept.untold = True
        except RefusedError as e:
            kept.registered = False
            _log.error("node_refused", node=name, reason=str(e))

    async def _register(self, kept: Kept) -> None:
        kept.told_at, kept.since = float("-inf"), moment(self._now())
        node = kept.node
        self._version = self._version or (await self._cluster.get("/version", Version)).git_version
        taints = [
            {"key": each.key, "value": each.value, "effect": "NoSchedule"} for each in node.taints
        ]
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": _labels(node)},
            "spec": {"taints": taints},
            "status": self._status(kept),
        }
        try:
            await self._cluster.create(_NODES, body)
        except ConflictError:
            await self._is_there(node)

    async def _is_there(self, node: objects.Node) -> None:
        """Give a node of before its labels and taints; what Kubernetes says of it stays."""
        path = f"{_NODES}/{node.name}"
        known = await self._cluster.get(path, Node)
        own = [Taint(key=each.key, value=each.value) for each in node.taints]
        theirs = [each for each in known.spec.taints if each.key.startswith(_BY_KUBERNETES)]
        body = {
            "metadata": {
                "labels": _labels(node),
                "resourceVersion": known.metadata.resource_version,
            },
            "spec": {"taints": [*own, *theirs]},
        }
        await self._cluster.merge(path, body)

    async def _renew(self, name: str) -> None:
        spec: dict[str, object] = {
            "holderIdentity": name,
            "leaseDurationSeconds": _LEASE_S,
            "renewTime": self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        try:
            await self._cluster.merge(f"{_LEASES}/{name}", {"spec": spec})
        except RefusedError as e:
            if e.status != 404:
                raise
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name},
                "spec": spec,
            }
            with suppress(ConflictError):
                await self._cluster.create(_LEASES, lease)

    def _status(self, kept: Kept) -> Mapping[str, object]:
        now = moment(self._now())
        return {
            "capacity": resources(kept.node.capacity, pods=_PODS),
            "allocatable": resources(kept.allocatable or kept.node.capacity, pods=_PODS),
            "addresses": [
                {"type": "InternalIP", "address": HOST_IP},
                {"type": "Hostname", "address": "localhost"},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "conditions": [
                {"type": kind, "lastHeartbeatTime": now, "lastTransitionTime": kept.since, **said}
                for kind, said in _CONDITIONS.items()
            ],
            "nodeInfo": {
                "machineID": kept.node.name,
                "systemUUID": kept.node.name,
                "bootID": kept.node.name,
                "kernelVersion": "",
                "osImage": "processes of this machine",
                "containerRuntimeVersion": "process://1",
                "kubeletVersion": self._version,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        }


def _labels(node: objects.Node) -> Mapping[str, str]:
    return {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **node.labels}
