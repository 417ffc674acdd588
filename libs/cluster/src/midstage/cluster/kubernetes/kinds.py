"""The kinds that are listed and watched, and how each one's bytes become what midstage tells.

An object is decoded into its own small struct and told at once, so nothing else of it is ever kept,
neither its managed fields nor its bytes. Pods, as the most, may be told in protobuf (ADR 21).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from midstage.cluster.kubernetes import shapes, shapes_workload
from midstage.cluster.kubernetes.connection import JSON, PROTOBUF
from midstage.cluster.kubernetes.discovery import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    NODES,
    PODS,
    Resource,
)
from midstage.cluster.kubernetes.endpoints import endpoints_of
from midstage.cluster.kubernetes.nodes import node_of
from midstage.cluster.kubernetes.pods import is_over, pod_of
from midstage.cluster.kubernetes.shaping import pod_shape
from midstage.cluster.kubernetes.workloads import OURS, is_ours, workload_of
from midstage.cluster.objects import Item

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One object as it is told; ``there``: it is one of those that a listing has."""

    item: Item
    there: bool


class Kind(Protocol):
    """One kind of objects: where it is asked for, and what its bytes say.

    ``namespace`` None: those of all namespaces; ``query``: which of them; ``accept``: in which
    forms a watch may tell it, the best first.
    """

    resource: Resource
    namespace: str | None
    query: Mapping[str, str]
    accept: str

    def told(self, body: bytes | msgspec.Raw) -> Told:
        """What one object says; MsgspecError or ValueError where it is none of this kind."""
        ...

    def told_in_protobuf(self, body: bytes) -> Told:
        """The same of its protobuf; only of a kind that accepts it."""
        ...


class _Kind(Generic[S]):
    def __init__(
        self,
        resource: Resource,
        *,
        shape: type[S],
        tell: Callable[[S], Item],
        there: Callable[[S], bool],
        namespace: str | None = None,
        selector: str = "",
        read: Callable[[bytes], S] | None = None,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.query: Mapping[str, str] = {"labelSelector": selector} if selector else {}
        self.accept = f"{PROTOBUF},{JSON}" if read else JSON
        self._decoder = msgspec.json.Decoder(shape)
        self._read = read or self._decoder.decode
        self._tell = tell
        self._there = there

    def told(self, body: bytes | msgspec.Raw) -> Told:
        return self._told(self._decoder.decode(body))

    def told_in_protobuf(self, body: bytes) -> Told:
        return self._told(self._read(body))

    def _told(self, found: S) -> Told:
        return Told(item=self._tell(found), there=self._there(found))


def kinds_of(namespace: str) -> Sequence[Kind]:
    """Nodes, the workloads and endpoints of ``namespace``, and last, as the most, all pods."""

    def always(_: shapes.Node | shapes.EndpointSlice) -> bool:
        return True

    return (
        _Kind(NODES, shape=shapes.Node, tell=node_of, there=always),
        _Kind(
            DEPLOYMENTS,
            shape=shapes_workload.Deployment,
            tell=workload_of,
            there=is_ours,
            namespace=namespace,
            selector=OURS,
        ),
        _Kind(
            ENDPOINT_SLICES,
            shape=shapes.EndpointSlice,
            tell=endpoints_of,
            there=always,
            namespace=namespace,
            selector=OURS,
        ),
        _Kind(
            PODS,
            shape=shapes.Pod,
            read=pod_shape,
            tell=lambda pod: pod_of(pod, namespace),
            there=lambda pod: not is_over(pod),
        ),
    )
