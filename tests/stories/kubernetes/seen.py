"""What Kubernetes says itself, and what control has told of it: lost nothing, doubled nothing."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.cluster.kubernetes.connection import APPLY, Connection
from midstage.contracts.cluster import ClusterFact, ObjectGone, PodObserved
from midstage.contracts.inventory import Folded, Inventory, Living
from midstage.contracts.topics import CLUSTER
from midstage.control.decide.objects import differences
from midstage.control.model import Stamp
from midstage.eventlog.codec import Decoder
from midstage.local.platform import Platform
from midstage.local.table import CLUSTER as NAME
from midstage.testkit.waiting import within
from tests.stories.evidence import records_of

STRANGER = "kubectl-of-somebody"
AGREES_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The cluster of the stories, as its administrator sees it."""

    where: str
    cluster: KubernetesCluster
    connection: Connection

    def applied(self, deployment: str, fields: Mapping[str, object]) -> None:
        """Somebody else sets fields of a deployment, and takes them from whoever had them."""
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": deployment},
            **fields,
        }
        self.connection.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/default/deployments/{deployment}",
            query={"fieldManager": STRANGER, "force": "true"},
            body=msgspec.json.encode(body),
            content_type=APPLY,
        )

    @contextlib.contextmanager
    def replicas(self) -> Iterator[Mapping[str, Sequence[int]]]:
        """Every ``spec.replicas`` that the workloads have in the block, by app, in order."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        over = threading.Event()
        since = self.cluster.list()
        for workload in since.workloads:
            found[workload.app].append(workload.replicas)

        def watched() -> None:
            with KubernetesCluster(name=NAME, where=self.where) as own:
                for change in own.watch(since.resource_version):
                    if change.workload is not None and not change.gone:
                        found[change.workload.app].append(change.workload.replicas)
                    if over.is_set() and change.item is None:
                        return  # a bookmark: all that was before it has been told

        watching = threading.Thread(target=watched, daemon=True)
        watching.start()
        try:
            yield found
        finally:
            over.set()  # a bookmark comes within 5 s
            watching.join()


@contextlib.contextmanager
def administrator(platform: Platform) -> Iterator[Seen]:
    """Sees all of the platform's cluster."""
    where = f"kubeconfig:{platform.addresses.kubeconfig}"
    with (
        KubernetesCluster(name=NAME, where=where) as cluster,
        contextlib.closing(Connection(name=NAME, where=where)) as connection,
    ):
        yield Seen(where=where, cluster=cluster, connection=connection)


def told(platform: Platform) -> Sequence[ClusterFact]:
    """All facts of the cluster so far, those of each object in order."""
    read = Decoder(CLUSTER)
    facts = [read(record).data for record in records_of(platform, CLUSTER.name)]
    return [fact for fact in facts if isinstance(fact, ClusterFact)]


def doubled(facts: Sequence[ClusterFact]) -> Sequence[ClusterFact]:
    """Facts about objects that say again what was said."""
    known = Inventory()
    folded = [(fact, known.apply(fact)) for fact in facts]
    about = [(fact, how) for fact, how in folded if isinstance(fact, Living | ObjectGone)]
    return [fact for fact, how in about if how is Folded.SAME]


def assert_told_exactly(platform: Platform, seen: Seen) -> None:
    """A full list of the cluster and the facts of control say the same of every object."""
    within(AGREES_WITHIN_S, lambda: not _untold(platform, seen), every=0.5)


def pods_made(facts: Sequence[ClusterFact], app: str) -> set[str]:
    """The uids of all pods that an application ever had."""
    return {fact.uid for fact in facts if isinstance(fact, PodObserved) and fact.app == app}


def _untold(platform: Platform, seen: Seen) -> Sequence[ClusterFact]:
    known = Inventory(told(platform))
    stamp = Stamp(cluster=NAME, epoch=known.epoch(NAME))
    return differences(known, seen.cluster.list(), stamp, datetime.now(UTC))
