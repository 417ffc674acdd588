"""What an application has in Kubernetes beside its Deployments: a Service, a disruption budget.

Each is owned by the application's Deployments, so Kubernetes itself removes it with the last of
them, whoever dies when. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.manifests import Fields
from midstage.contracts.running import Disruption


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A Deployment of the application."""

    name: str
    uid: str


def service(app: str, owners: Sequence[Owner], *, namespace: str) -> Fields:
    """All replicas of the application under its name, port 80."""
    port: Fields = {
        "name": names.PORT_NAME,
        "port": 80,
        "targetPort": names.PORT_NAME,
        "protocol": "TCP",
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(app, owners, namespace),
        "spec": {"selector": {names.APP: app}, "ports": [port]},
    }


def budget(app: str, disruption: Disruption, owners: Sequence[Owner], *, namespace: str) -> Fields:
    """How many replicas may be taken at once by whoever empties nodes."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(app, owners, namespace),
        "spec": {
            "maxUnavailable": disruption.max_unavailable,
            "selector": {"matchLabels": {names.APP: app}},
        },
    }


def _metadata(app: str, owners: Sequence[Owner], namespace: str) -> Fields:
    return {
        "name": app,
        "namespace": namespace,
        "labels": {names.APP: app, names.MANAGED_BY: names.MIDSTAGE},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.name, "uid": owner.uid}
            for owner in sorted(owners, key=lambda owner: owner.uid)
        ],
    }
