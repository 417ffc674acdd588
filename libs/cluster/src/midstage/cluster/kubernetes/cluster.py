"""``Cluster`` on a Kubernetes API: the reading parts and the writing parts under one name.

Workloads are those of one namespace; nodes and pods are told of all, so that room is known.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.emptying import Emptying
from midstage.cluster.kubernetes.following import SILENT_S
from midstage.cluster.kubernetes.leases import Leases
from midstage.cluster.kubernetes.logs import Logs
from midstage.cluster.kubernetes.previewing import Previewer
from midstage.cluster.kubernetes.quotas import Quotas
from midstage.cluster.kubernetes.reading import Reading
from midstage.cluster.kubernetes.references import References
from midstage.cluster.kubernetes.usage import Usage
from midstage.cluster.kubernetes.writing import Writer
from midstage.cluster.objects import (
    Change,
    Lease,
    Listing,
    Node,
    NodeUse,
    Pod,
    PodUse,
    Preview,
    QuotaUse,
    Reference,
    Workload,
)
from midstage.cluster.protocol import Ending
from midstage.contracts.running import Disruption


class KubernetesCluster:
    """Implements ``Cluster``; ``where`` is ``kubeconfig:/path[#context]`` or ``in-cluster:``."""

    def __init__(
        self,
        *,
        name: str,
        where: str,
        namespace: str = "default",
        image: str = names.PROCESS_IMAGE,
        silent_s: float = SILENT_S,
    ) -> None:
        """Nothing is read or connected yet; a watch that is silent for ``silent_s`` is broken.

        ``image`` runs the workloads that give a command and no image.
        """
        self.name = name
        self._connection = connection = Connection(name=name, where=where)
        self._discovery = discovery = Discovery(connection)
        self._reading = Reading(connection, discovery, namespace=namespace, silent_s=silent_s)
        self._usage = Usage(connection, discovery)
        self._quotas = Quotas(connection, discovery, namespace=namespace)
        self._logs = Logs(connection, discovery, namespace=namespace)
        self._leases = Leases(connection, discovery, namespace=namespace)
        self._references = References(connection, discovery, namespace=namespace)
        self._writer = writer = Writer(connection, discovery, namespace=namespace, image=image)
        self._previewer = Previewer(connection, discovery, writer, namespace=namespace, image=image)
        self._emptying = Emptying(connection, discovery, namespace=namespace)

    def list(self) -> Listing:
        """As ``Cluster.list``."""
        return self._reading.list()

    def watch(self, since: int) -> Iterator[Change]:
        """As ``Cluster.watch``; in order within each kind of object."""
        return self._reading.watch(since)

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """As ``Cluster.put_workload``."""
        return self._writer.put_workload(workload, expected=expected, ending=ending)

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.scale_workload``."""
        return self._writer.scale_workload(
            name, replicas=replicas, expected=expected, ending=ending
        )

    def adopt(self, name: str, *, app: str) -> Workload:
        """As ``Cluster.adopt``: a Deployment of the namespace that is not labelled as ours."""
        return self._writer.adopt(name, app=app)

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """As ``Cluster.preview``."""
        return self._previewer.preview(workload, expected=expected)

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """As ``Cluster.delete_workload``."""
        self._writer.delete_workload(name, expected=expected, ending=ending)

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """As ``Cluster.drain_pod``."""
        return self._writer.drain_pod(name, uid=uid, draining=draining)

    def cordon(self, node: str, *, on: bool, emptied: bool = False) -> Node:
        """As ``Cluster.cordon``."""
        return self._emptying.cordon(node, on=on, emptied=emptied)

    def evict_pod(self, name: str, *, uid: str) -> None:
        """As ``Cluster.evict_pod``."""
        self._emptying.evict_pod(name, uid=uid)

    def usage(self) -> Sequence[PodUse]:
        """As ``Cluster.usage``; UnavailableError where the cluster has no metrics API."""
        return self._usage.of_pods(self._reading.places)

    def node_usage(self) -> Sequence[NodeUse]:
        """As ``Cluster.node_usage``; UnavailableError where the cluster has no metrics API."""
        return self._usage.of_nodes()

    def quotas(self) -> Sequence[QuotaUse]:
        """As ``Cluster.quotas``; those for some pods only are left out."""
        return self._quotas.told()

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        """As ``Cluster.logs``."""
        return self._logs.read(pod, follow=follow, tail=tail, previous=previous)

    def astray(self, wanted: Mapping[str, Disruption | None]) -> Mapping[str, tuple[str, ...]]:
        """As ``Cluster.astray``."""
        return self._writer.accompanying.astray(wanted)

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """As ``Cluster.take_lease``."""
        return self._leases.take(name, holder=holder, within=within)

    def references(self, references: Collection[Reference]) -> Mapping[Reference, str]:
        """As ``Cluster.references``."""
        return self._references.of(references)

    def close(self) -> None:
        """Let go of all connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _raised: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()
