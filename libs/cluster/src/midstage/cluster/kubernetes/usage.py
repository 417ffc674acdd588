"""What pods and nodes use, from the metrics API of the cluster; GPUs are not among its numbers."""

from collections.abc import Sequence

import msgspec

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import NODE_METRICS, POD_METRICS, Discovery, Resource
from midstage.cluster.kubernetes.places import Key, Places
from midstage.cluster.kubernetes.quantities import number
from midstage.cluster.kubernetes.shapes import Meta, Shape, Strings
from midstage.cluster.objects import NodeUse, PodUse
from midstage.contracts.errors import RefusedError, UnavailableError

_MIB = 1024 * 1024
_NOTHING: Strings = {}


class _Used(Shape, frozen=True, kw_only=True):
    usage: Strings | None = None


class _PodMetrics(Shape, frozen=True, kw_only=True):
    metadata: Meta
    containers: tuple[_Used, ...] | None = None


class _NodeMetrics(Shape, frozen=True, kw_only=True):
    metadata: Meta
    usage: Strings | None = None


class _Pods(Shape, frozen=True, kw_only=True):
    items: tuple[_PodMetrics, ...] | None = None


class _Nodes(Shape, frozen=True, kw_only=True):
    items: tuple[_NodeMetrics, ...] | None = None


_PODS = msgspec.json.Decoder(_Pods)
_NODES = msgspec.json.Decoder(_Nodes)


class Usage:
    """Asks the metrics API; UnavailableError where there is none, or it is not there now."""

    def __init__(self, connection: Connection, discovery: Discovery) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._discovery = discovery

    def of_pods(self, places: Places) -> Sequence[PodUse]:
        """What each pod uses; one that nobody knows a node of has ended, and is left out."""
        told = self._connection.decoded(self._asked(POD_METRICS), _PODS).items or ()
        nodes = places.of([_key(each.metadata) for each in told])
        return [
            _use(each, nodes[_key(each.metadata)]) for each in told if _key(each.metadata) in nodes
        ]

    def of_nodes(self) -> Sequence[NodeUse]:
        """As ``Cluster.node_usage``."""
        told = self._connection.decoded(self._asked(NODE_METRICS), _NODES).items or ()
        return [
            NodeUse(
                name=each.metadata.name,
                cpu=number((each.usage or _NOTHING).get("cpu", "0")),
                memory_mb=number((each.usage or _NOTHING).get("memory", "0")) / _MIB,
            )
            for each in told
        ]

    def _asked(self, resource: Resource) -> bytes:
        name = self._connection.name
        try:
            return self._connection.request("GET", self._discovery.path(resource))
        except RefusedError as e:
            raise UnavailableError(f"{name} does not say what is used: {e}") from e
        except UnavailableError as e:
            raise UnavailableError(
                f"{e}; use is measured by the metrics API: is metrics-server installed, and up?"
            ) from e


def _key(meta: Meta) -> Key:
    return meta.namespace, meta.name


def _use(told: _PodMetrics, node: str) -> PodUse:
    parts = [part.usage or _NOTHING for part in told.containers or ()]
    return PodUse(
        name=told.metadata.name,
        namespace=told.metadata.namespace,
        node=node,
        cpu=sum(number(part.get("cpu", "0")) for part in parts),
        memory_mb=sum(number(part.get("memory", "0")) for part in parts) / _MIB,
    )
