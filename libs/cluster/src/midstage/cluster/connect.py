"""Which implementation of ``Cluster`` a setting means: ``name=where[,name=where]``.

``where`` is ``http://address`` of a local cluster's daemon, ``kubeconfig:/path[#context]``, or
``in-cluster:`` for a process that is itself a pod of the cluster.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from midstage.cluster.http import HttpCluster
from midstage.cluster.kubernetes.names import PROCESS_IMAGE
from midstage.cluster.protocol import Cluster

if TYPE_CHECKING:
    from midstage.cluster.kubernetes.measures import Measures

IN_CLUSTER = "in-cluster:"
KUBECONFIG = "kubeconfig:"
NAMESPACE = "default"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_SCHEMES = {"http", "https"}


def connect(
    name: str,
    where: str,
    token: str,
    *,
    namespace: str = NAMESPACE,
    image: str = PROCESS_IMAGE,
) -> Cluster:
    """The cluster at ``where``, checked by ``places`` before; nothing is connected yet.

    ``token`` is a local cluster's, which has no namespaces; a Kubernetes API takes what its
    kubeconfig or its pod's service account gives, workloads live in ``namespace``, and ``image``
    runs those that give a command and no image.
    """
    if not where.startswith((KUBECONFIG, IN_CLUSTER)):
        return HttpCluster(name=name, base_url=where, token=token)
    from midstage.cluster.kubernetes.cluster import (  # noqa: PLC0415  a second to import
        KubernetesCluster,
    )

    return KubernetesCluster(name=name, where=where, namespace=namespace, image=image)


def measures(name: str, where: str, *, namespace: str = NAMESPACE) -> "Measures | None":
    """The custom and external metrics of the cluster at ``where``; None: it is a local one."""
    if not where.startswith((KUBECONFIG, IN_CLUSTER)):
        return None
    from midstage.cluster.kubernetes.measures import Measures  # noqa: PLC0415  a second to import

    return Measures(name=name, where=where, namespace=namespace)


def places(given: str) -> Mapping[str, str]:
    """Where each cluster is by its name, in the order given; ValueError says what is wrong."""
    found: dict[str, str] = {}
    for part in given.split(","):
        name, _, where = (word.strip() for word in part.partition("="))
        if not _NAME.fullmatch(name) or not _is_place(where):
            raise ValueError(
                f"{part.strip()!r} is not name=where, with where http://address,"
                f" {KUBECONFIG}/path[#context] or {IN_CLUSTER}"
            )
        if name in found:
            raise ValueError(f"{name!r} is named twice")
        found[name] = where if where.startswith(KUBECONFIG) else where.rstrip("/")
    return found


def _is_place(where: str) -> bool:
    if where == IN_CLUSTER:
        return True
    if where.startswith(KUBECONFIG):
        return bool(where.removeprefix(KUBECONFIG).partition("#")[0])
    try:
        parts = urlsplit(where)
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname)
