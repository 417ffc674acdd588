"""``Cluster`` on a Kubernetes API: the reading parts and the writing parts under one name.

Workloads are those of one namespace; nodes and pods are told of all, so that room is known.
"""

from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery


class KubernetesCluster:
    """Implements ``Cluster``; ``where`` is ``kubeconfig:/path[#context]`` or ``in-cluster:``."""

    def __init__(self, *, name: str, where: str, namespace: str = "default") -> None:
        """Nothing is read or connected yet."""
        self.name = name
        self._connection = Connection(name=name, where=where)
        self._discovery = Discovery(self._connection)
        self._namespace = namespace

    def close(self) -> None:
        """Let go of all connections."""
        self._connection.close()
