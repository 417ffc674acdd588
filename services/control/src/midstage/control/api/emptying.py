"""The two hands that empty a node: cordon it, and evict its pods, each as the cluster lets it.

Both say only that the cluster took it; what becomes of it is told by the facts that follow.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Protocol

from fastapi import APIRouter, Body, Path, Query
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.chassis.logs import logger
from midstage.cluster.objects import Node
from midstage.contracts.cluster import NodeObserved
from midstage.contracts.errors import RefusedError

Name = Annotated[str, Path(min_length=1, max_length=256)]
Given = Annotated[str, Body(embed=True, min_length=1, max_length=256)]
_log = logger(__name__)


class Emptied(Protocol):
    """What is asked of a cluster."""

    def cordon(self, node: str, *, on: bool, emptied: bool = False) -> Node:
        """Let the node take no new pods, or take them again; ``emptied``: its own shall move."""
        ...

    def evict_pod(self, name: str, *, uid: str) -> None:
        """End a pod so that it comes back elsewhere."""
        ...


class Cordoned(TypedDict):
    """The node as the cluster has it now."""

    cluster: str
    name: str
    schedulable: bool
    emptied: bool


class Evicted(TypedDict):
    """The pod that was told to end."""

    cluster: str
    name: str
    uid: str


def add(
    routes: APIRouter,
    clusters: Mapping[str, Emptied],
    node: Callable[[str, str | None], NodeObserved],
) -> None:
    """The changing routes; ``node`` finds one by name, and by cluster where several have it."""

    @routes.put("/nodes/{name}/cordoned")
    def cordon(
        name: Name,
        *,
        on: Annotated[bool, Body(embed=True)],
        emptied: Annotated[bool, Body(embed=True)] = False,
        cluster: Annotated[str | None, Query(max_length=256)] = None,
    ) -> Cordoned:
        known = node(name, cluster)
        now = _of(clusters, known.cluster).cordon(name, on=on, emptied=emptied)
        _log.info("node_cordoned", cluster=known.cluster, node=name, on=on, emptied=emptied)
        return {
            "cluster": known.cluster,
            "name": name,
            "schedulable": now.schedulable,
            "emptied": now.emptied,
        }

    @routes.put("/pods/{cluster}/{namespace}/{name}/evicted")
    def evict(cluster: Name, namespace: Name, name: Name, *, uid: Given) -> Evicted:
        _of(clusters, cluster).evict_pod(name, uid=uid)
        _log.info("pod_evicted", cluster=cluster, namespace=namespace, pod=name)
        return {"cluster": cluster, "name": name, "uid": uid}


def _of(clusters: Mapping[str, Emptied], name: str) -> Emptied:
    if name not in clusters:
        raise RefusedError(f"there is no cluster {name!r} here", status=404)
    return clusters[name]
