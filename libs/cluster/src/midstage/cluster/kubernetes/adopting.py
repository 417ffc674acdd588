"""A Deployment that somebody else made, taken over as it runs: labels, and nothing that rolls it.

Its template is never touched, so pods that it makes later lack the labels: asked again, they get
them. Until then its pods are known by their ReplicaSet, which Kubernetes names after the Deployment
and the hash of the template.
"""

from collections.abc import Iterator

import msgspec

from midstage.cluster.kubernetes import names, shapes
from midstage.cluster.kubernetes.connection import MERGE, Connection
from midstage.cluster.kubernetes.deployments import Deployments, Live
from midstage.cluster.kubernetes.discovery import AUTOSCALERS, PODS, Discovery
from midstage.cluster.kubernetes.manifests import adopted
from midstage.cluster.kubernetes.pods import is_over
from midstage.cluster.kubernetes.shapes import Meta, Owner, Shape
from midstage.cluster.kubernetes.shapes_workload import Deployment
from midstage.cluster.kubernetes.workloads import is_adopted, workload_of
from midstage.cluster.objects import ADOPTED, Workload
from midstage.contracts.errors import RefusedError

_HASH = "pod-template-hash"
_OURS = "midstage.dev/"


class _MadeMeta(Meta, frozen=True, kw_only=True):
    owner_references: tuple[Owner, ...] | None = None


class _MadePod(shapes.Pod, frozen=True, kw_only=True):
    metadata: _MadeMeta


class _MadePods(Shape, frozen=True, kw_only=True):
    items: tuple[_MadePod, ...] = ()


class _Target(Shape, frozen=True, kw_only=True):
    kind: str = ""
    name: str = ""


class _AutoscalerSpec(Shape, frozen=True, kw_only=True):
    scale_target_ref: _Target = _Target()


class _Autoscaler(Shape, frozen=True, kw_only=True):
    metadata: Meta
    spec: _AutoscalerSpec = _AutoscalerSpec()


class _Autoscalers(Shape, frozen=True, kw_only=True):
    items: tuple[_Autoscaler, ...] = ()


_PODS = msgspec.json.Decoder(_MadePods)
_AUTOSCALERS = msgspec.json.Decoder(_Autoscalers)


class Adopter:
    """Adopts in one namespace."""

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        deployments: Deployments,
        *,
        namespace: str,
    ) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._discovery = discovery
        self._deployments = deployments
        self._namespace = namespace

    def adopt(self, name: str, *, app: str) -> Workload:
        """As ``Cluster.adopt``; whoever dies in between leaves what the next one goes on with."""
        live = self._deployments.get(name)
        if live is None:
            raise RefusedError(f"there is no deployment {name} in {self._namespace}", status=404)
        if not _is_apps(live, app):
            for why in (*_why_not(live.deployment), *self._autoscaled(name)):
                raise RefusedError(f"deployment {name} {why}", status=409)
            marks = adopted(name, namespace=self._namespace, app=app)
            live = self._deployments.apply(marks, manager=names.DEPLOY_MANAGER, on=live, force=True)
        for pod in self.pods_of(live.deployment):
            if (pod.metadata.labels or {}).get(names.WORKLOAD) != name:
                self._mark(pod, name, app)
        return workload_of(live.deployment)

    def pods_of(self, deployment: Deployment) -> list[shapes.Pod]:
        """The pods that it has made, labelled or not, but for those that have ended for good."""
        labels = deployment.spec.selector.match_labels or {}
        answer = self._connection.request(
            "GET",
            self._discovery.path(PODS, namespace=self._namespace),
            query={"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())},
        )
        found = self._connection.decoded(answer, _PODS).items
        name = deployment.metadata.name
        return [pod for pod in found if not is_over(pod) and _is_made_by(pod.metadata, name)]

    def _mark(self, pod: shapes.Pod, name: str, app: str) -> None:
        """Label one pod; one that is gone meanwhile, or is another now, need not be."""
        marks = {names.APP: app, names.REVISION: ADOPTED, names.WORKLOAD: name}
        body = msgspec.json.encode({"metadata": {"uid": pod.metadata.uid, "labels": marks}})
        path = self._discovery.path(PODS, namespace=self._namespace, name=pod.metadata.name)
        try:
            self._connection.request(
                "PATCH",
                path,
                query={"fieldManager": names.DEPLOY_MANAGER},
                body=body,
                content_type=MERGE,
            )
        except RefusedError as e:
            if e.status not in (404, 409) and "metadata.uid" not in str(e):
                raise

    def _autoscaled(self, name: str) -> Iterator[str]:
        """Asked last: another autoscaler would set the count again and again."""
        path = self._discovery.path(AUTOSCALERS, namespace=self._namespace)
        found = self._connection.decoded(self._connection.request("GET", path), _AUTOSCALERS)
        for each in found.items:
            target = each.spec.scale_target_ref
            if (target.kind, target.name) == ("Deployment", name):
                yield (
                    f"is scaled by HorizontalPodAutoscaler {each.metadata.name}, which would fight "
                    "for its count: delete that first"
                )


def _is_apps(live: Live, app: str) -> bool:
    """Whether it was adopted for the application already."""
    labels = live.deployment.metadata.labels or {}
    return is_adopted(live.deployment) and labels.get(names.APP) == app


def _why_not(deployment: Deployment) -> Iterator[str]:
    meta, status = deployment.metadata, deployment.status
    labels = meta.labels or {}
    if any(label.startswith(_OURS) for label in labels):
        yield f"is application {labels.get(names.APP, '?')}'s already"
    if meta.deletion_timestamp is not None:
        yield "is being deleted"
    for owner in meta.owner_references or ():
        if owner.controller:
            yield f"is made by {owner.kind} {owner.name}, which would set it back"
    at_rest = status.replicas == status.updated_replicas == deployment.spec.replicas
    if not at_rest or status.observed_generation < meta.generation:
        yield "is changing its pods just now: wait until its own rollout is over"


def _is_made_by(meta: _MadeMeta, deployment: str) -> bool:
    replica_set = f"{deployment}-{(meta.labels or {}).get(_HASH, '')}"
    return any(
        owner.controller and (owner.kind, owner.name) == ("ReplicaSet", replica_set)
        for owner in meta.owner_references or ()
    )
