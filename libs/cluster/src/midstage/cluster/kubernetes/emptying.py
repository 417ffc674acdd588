"""How a node is emptied: it takes no new pods, and its pods are evicted one by one.

An eviction asks Kubernetes itself, which knows the disruption budgets.
"""

import msgspec

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.connection import MERGE, Connection
from midstage.cluster.kubernetes.discovery import NODES, PODS, Discovery
from midstage.cluster.kubernetes.nodes import node_of
from midstage.cluster.kubernetes.shapes import Node as NodeShape
from midstage.cluster.objects import Node
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError

_NODE = msgspec.json.Decoder(NodeShape)


class Emptying:
    """Of the nodes of a cluster, and the pods of one namespace."""

    def __init__(self, connection: Connection, discovery: Discovery, *, namespace: str) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace

    def cordon(self, node: str, *, on: bool, emptied: bool = False) -> Node:
        """As ``Cluster.cordon``; that it shall be emptied says an annotation."""
        marks = {names.EMPTIED: "true" if on and emptied else None}
        wanted = {"metadata": {"annotations": marks}, "spec": {"unschedulable": on or None}}
        answer = self._connection.request(
            "PATCH",
            self._discovery.path(NODES, name=node),
            body=msgspec.json.encode(wanted),
            content_type=MERGE,
        )
        return node_of(self._connection.decoded(answer, _NODE))

    def evict_pod(self, name: str, *, uid: str) -> None:
        """As ``Cluster.evict_pod``."""
        path = self._discovery.path(PODS, namespace=self._namespace, name=name, part="eviction")
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self._namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        try:
            self._connection.request("POST", path, body=msgspec.json.encode(eviction))
        except RefusedError as e:
            if e.status in (404, 409):
                said = f"there is no pod {name} with uid {uid}: read again"
                raise ConflictError(said) from e
            raise
