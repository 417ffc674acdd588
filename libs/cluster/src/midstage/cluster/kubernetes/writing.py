"""What deploy does to a Kubernetes cluster: workloads put and removed, pods marked.

The count belongs to one manager, everything else to another, so neither ever takes it back from the
other. The version that was carried out is written last: whoever dies between two calls leaves an
older one behind, and the next write, which sees that, does all of it again. What is so already is
applied without effect: no version grows.
"""

from collections.abc import Callable, Sequence

import msgspec

from midstage.cluster.check import MOST_REPLICAS, check, refuse_older
from midstage.cluster.controller import counts, ends_first
from midstage.cluster.kubernetes import manifests, names
from midstage.cluster.kubernetes.accompanying import Accompanying
from midstage.cluster.kubernetes.adopting import Adopter
from midstage.cluster.kubernetes.connection import MERGE, Connection
from midstage.cluster.kubernetes.deployments import Deployments, Live
from midstage.cluster.kubernetes.discovery import PODS, Discovery
from midstage.cluster.kubernetes.errors import OwnedError
from midstage.cluster.kubernetes.fields import left_to_others
from midstage.cluster.kubernetes.manifests import Fields
from midstage.cluster.kubernetes.ownership import owned, strangers, without
from midstage.cluster.kubernetes.pods import is_over, pod_of
from midstage.cluster.kubernetes.shapes import Pod as PodShape
from midstage.cluster.kubernetes.shapes import Shape
from midstage.cluster.kubernetes.workloads import is_adopted, is_ours, workload_of
from midstage.cluster.objects import Pod, Workload
from midstage.cluster.protocol import ConflictError, Ending
from midstage.contracts.errors import RefusedError

Reached = Callable[[str], None]


class _Pods(Shape, frozen=True, kw_only=True):
    items: tuple[PodShape, ...] = ()


_IMAGE = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"app"}', "f:image")
_PODS = msgspec.json.Decoder(_Pods)
_POD = msgspec.json.Decoder(PodShape)


def _nothing(_place: str) -> None:
    """Nobody wants to know."""


class Writer:
    """Writes into one namespace; ``reached`` hears of each place between two calls."""

    def __init__(
        self,
        connection: Connection,
        discovery: Discovery,
        *,
        namespace: str,
        image: str = names.PROCESS_IMAGE,
        reached: Reached = _nothing,
    ) -> None:
        """Nothing is asked yet; ``image`` runs the workloads that give a command alone."""
        self._connection = connection
        self._discovery = discovery
        self._namespace = namespace
        self._image = image
        self._reached = reached
        self.deployments = Deployments(connection, discovery, namespace)
        self.accompanying = Accompanying(
            connection, discovery, self.deployments, namespace=namespace
        )
        self._adopter = Adopter(connection, discovery, self.deployments, namespace=namespace)

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """As ``Cluster.put_workload``."""
        live = self.looked_at(workload, expected)
        if live is None:
            live = self.deployments.apply(
                manifests.created(workload, image=self._image),
                manager=names.DEPLOY_MANAGER,
                on=None,
                force=False,
            )
        else:
            self._spare(live, workload.replicas, ending)
        self._reached("kubernetes:created")
        live = self._applied(manifests.count(workload), names.SCALE_MANAGER, workload, live)
        self._reached("kubernetes:counted")
        self.accompanying.put(workload)
        self._reached("kubernetes:accompanied")
        manifest = manifests.deployment(workload, image=self.image_for(live))
        live = self._applied(manifest, names.DEPLOY_MANAGER, workload, live)
        self._reached("kubernetes:applied")
        return workload_of(self._corrected(workload, live).deployment)

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.scale_workload``."""
        live = self.deployments.get(name)
        if live is None:
            raise ConflictError(f"workload {name} is not there: read again")
        if not is_ours(live.deployment):
            raise ConflictError(f"deployment {name} is somebody else's")
        if not 0 <= replicas <= MOST_REPLICAS:
            raise RefusedError(f"replicas: {replicas} is not 0 to {MOST_REPLICAS}")
        self.deployments.expect(live, expected)
        self._spare(live, replicas, ending)
        wanted = msgspec.structs.replace(workload_of(live.deployment), replicas=replicas)
        counted = self._applied(manifests.count(wanted), names.SCALE_MANAGER, wanted, live)
        return workload_of(counted.deployment)

    def adopt(self, name: str, *, app: str) -> Workload:
        """As ``Cluster.adopt``."""
        return self._adopter.adopt(name, app=app)

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """As ``Cluster.delete_workload``; what goes with the application ends with its last one."""
        live = self.deployments.get(name)
        if live is None or live.deployment.metadata.deletion_timestamp is not None:
            return
        if not is_ours(live.deployment):
            raise ConflictError(f"deployment {name} is somebody else's")
        self.deployments.expect(live, expected)
        self._spare(live, 0, ending)
        self.deployments.delete(live)

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """As ``Cluster.drain_pod``; a draining pod costs least to end."""
        marks = {
            names.DRAINING: "true" if draining else None,
            names.DELETION_COST: names.ENDS_FIRST if draining else None,
        }
        body = msgspec.json.encode({"metadata": {"uid": uid, "annotations": marks}})
        path = self._discovery.path(PODS, namespace=self._namespace, name=name)
        try:
            answer = self._connection.request("PATCH", path, body=body, content_type=MERGE)
        except RefusedError as e:
            if e.status in (404, 409) or "metadata.uid" in str(e):
                said = f"there is no pod {name} with uid {uid}: read again"
                raise ConflictError(said) from e
            raise
        return pod_of(self._connection.decoded(answer, _POD), self._namespace)

    def looked_at(self, workload: Workload, expected: int) -> Live | None:
        """What is there in place of a workload that may be written; errors as for the write."""
        check(workload)
        if workload.namespace != self._namespace:
            raise RefusedError(f"namespace: {workload.namespace} is not {self._namespace}")
        live = self.deployments.get(workload.name)
        if live is None:
            if expected:
                raise ConflictError(f"workload {workload.name} is not there: read again")
            return None
        if not is_ours(live.deployment):
            raise ConflictError(f"deployment {workload.name} is somebody else's")
        if expected == 0:
            raise ConflictError(f"workload {workload.name} is there already: read again")
        if is_adopted(live.deployment):
            raise RefusedError(f"{workload.name} was made by somebody else: its count alone is set")
        known = workload_of(live.deployment)
        if (known.app, known.revision) != (workload.app, workload.revision):
            raise RefusedError(f"{workload.name} is another application's or revision's")
        refuse_older(known, workload)
        self.deployments.expect(live, expected)
        return live

    def image_for(self, live: Live) -> str:
        """The image of a command: another setting is for new workloads, and replaces no pod."""
        managed = live.deployment.metadata.managed_fields or ()
        if _IMAGE not in owned(managed, names.DEPLOY_MANAGER):
            return self._image
        of = {each.name: each.image for each in live.deployment.spec.template.spec.containers}
        return of.get(names.CONTAINER, self._image)

    def _applied(self, manifest: Fields, manager: str, workload: Workload, live: Live) -> Live:
        """Forced; or, where strangers are tolerated, without the fields that are theirs."""
        forced = not workload.tolerates
        try:
            return self.deployments.apply(manifest, manager=manager, on=live, force=forced)
        except OwnedError as e:
            rest = left_to_others(manifest, e.fields)
            return self.deployments.apply(rest, manager=manager, on=live, force=False)

    def _corrected(self, workload: Workload, live: Live) -> Live:
        """Without what strangers have added beside ours, which applying leaves there."""
        theirs = strangers(live.deployment.metadata.managed_fields or ())
        if workload.tolerates or not theirs:
            return live

        def cleaned(now: Live) -> Fields:
            plain = without(now.plain(), theirs)
            assert isinstance(plain, dict)
            return plain

        return self.deployments.replace(cleaned, on=live)

    def _spare(self, live: Live, replicas: int, ending: Ending) -> None:
        """ConflictError where a pod that was ever ready could end and is not in ``ending``."""
        if ending is None:
            return
        for pod in could_end(self._pods(live), replicas):
            if pod.ready_at is not None and (pod.uid, pod.resource_version) not in ending:
                raise ConflictError(f"pod {pod.name} would end and was not to: read again")

    def _pods(self, live: Live) -> list[Pod]:
        if is_adopted(live.deployment):
            made = self._adopter.pods_of(live.deployment)
            return [pod_of(each, self._namespace) for each in made]
        workload = live.deployment.metadata.name
        answer = self._connection.request(
            "GET",
            self._discovery.path(PODS, namespace=self._namespace),
            query={"labelSelector": f"{names.WORKLOAD}={workload}"},
        )
        found = self._connection.decoded(answer, _PODS).items
        return [pod_of(each, self._namespace) for each in found if not is_over(each)]


def could_end(pods: Sequence[Pod], replicas: int) -> Sequence[Pod]:
    """The pods of which Kubernetes may take some when only ``replicas`` shall be left.

    Those that it orders alike, where not all of them have to go, are all among them.
    """
    alive = sorted((pod for pod in pods if counts(pod)), key=ends_first)
    surplus = len(alive) - replicas
    if surplus <= 0:
        return []
    last = ends_first(alive[surplus - 1])
    return [pod for pod in alive if ends_first(pod) <= last]
