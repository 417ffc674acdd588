"""What the conformance suite may ask of any cluster, and nothing of how it is made.

A cluster under test has four nodes: ``plain`` (4 cores, label rack=1), ``other`` (4 cores, labels
rack=2 and zone=b), ``gpu`` (4 cores, 1 GPU), ``tainted`` (16 cores, 4 GPUs, taint dedicated=batch).
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from midstage.cluster.objects import Change, Listing, Node, Pod, Preview, Template, Workload
from midstage.cluster.protocol import Cluster
from midstage.contracts.cluster import Amount, Taint
from midstage.testkit.waiting import within

NODES = (
    Node(name="plain", capacity=Amount(cpu=4, memory_mb=4096), labels={"rack": "1"}),
    Node(name="other", capacity=Amount(cpu=4, memory_mb=4096), labels={"rack": "2", "zone": "b"}),
    Node(name="gpu", capacity=Amount(cpu=4, memory_mb=4096, gpus=1)),
    Node(
        name="tainted",
        capacity=Amount(cpu=16, memory_mb=8192, gpus=4),
        taints=(Taint(key="dedicated", value="batch"),),
    ),
)
SMALL = Amount(cpu=0.1, memory_mb=16)
WITHIN_S = 60.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A cluster, the programs its pods may run, and the hands that no client has."""

    cluster: Cluster
    serving: Template  # becomes ready; says "hello" and then "serving"
    crashing: Template  # says "one" to "seven" and ends with 3
    deaf: Template  # runs, and is never ready
    settle: Callable[[], None]  # lets happen what goes well by itself, where nothing does so
    unready: Callable[[Pod], None]  # makes a serving pod's readiness fail, and not come back
    too_old: Callable[[], int]  # a resource version that is not remembered any more
    node_dies: Callable[[str], None]
    node_returns: Callable[[str], None]
    namespace: str = "default"
    keeps_pods_of_changed_templates: bool = True
    allow: Callable[[str, Mapping[str, str]], None] | None = None  # None: there are no quotas

    def workload(self, template: Template | None = None, *, replicas: int = 1) -> Workload:
        """A new one of an application of its own."""
        app = f"app-{uuid.uuid4().hex[:8]}"
        return Workload(
            name=f"{app}-1",
            namespace=self.namespace,
            app=app,
            revision="1",
            template=template or self.serving,
            replicas=replicas,
        )

    def put(self, workload: Workload, *, replicas: int | None = None) -> Workload:
        """Written from what is there now."""
        wanted = workload if replicas is None else sized(workload, replicas)
        known = self.known(workload.name)
        return self.cluster.put_workload(wanted, expected=known.resource_version if known else 0)

    def previewed(self, workload: Workload) -> Preview:
        """What a write from what is there now would change."""
        known = self.known(workload.name)
        return self.cluster.preview(workload, expected=known.resource_version if known else 0)

    def known(self, name: str) -> Workload | None:
        return next((each for each in self.cluster.list().workloads if each.name == name), None)

    def pods(self, workload: Workload) -> Sequence[Pod]:
        return [pod for pod in self.cluster.list().pods if pod.workload == workload.name]

    def until(self, fact: Callable[[], T], *, within_s: float = WITHIN_S) -> T:
        """Wait for a fact, and let happen what makes it so; the fact as it was found."""

        def settled() -> T:
            self.settle()
            return fact()

        return within(within_s, settled, every=0.05)

    def ready(self, workload: Workload, count: int) -> Sequence[Pod]:
        """Wait until exactly ``count`` pods are there, all ready; they, oldest first."""

        def all_ready() -> Sequence[Pod]:
            pods = self.pods(workload)
            return pods if [pod.ready for pod in pods] == [True] * count else ()

        return sorted(self.until(all_ready), key=lambda pod: pod.created_at)

    def unschedulable(self, workload: Workload) -> Pod:
        """Wait until its one pod is said to fit nowhere; the pod."""
        return self.one(workload, lambda pod: pod.reason == "Unschedulable")

    def one(self, workload: Workload, fact: Callable[[Pod], object]) -> Pod:
        """Wait until its one pod is there and so; the pod as it was then."""

        def so() -> Sequence[Pod]:
            pods = self.pods(workload)
            return pods if len(pods) == 1 and fact(pods[0]) else ()

        (pod,) = self.until(so)
        return pod

    def only(self, workload: Workload) -> Pod:
        """The one pod of the workload."""
        (pod,) = self.pods(workload)
        return pod


def sized(workload: Workload, replicas: int) -> Workload:
    return msgspec.structs.replace(workload, replicas=replicas)


def needing(template: Template, **amount: float) -> Template:
    wanted = msgspec.convert({"cpu": 0.1, "memory_mb": 16, **amount}, Amount)
    return msgspec.structs.replace(template, requests=wanted)


def by_name(listing: Listing) -> dict[str, Node | Pod | Workload]:
    return {f"{type(each).__name__}/{each.name}": each for each in objects(listing)}


def objects(listing: Listing) -> list[Node | Pod | Workload]:
    return [*listing.nodes, *listing.pods, *listing.workloads]


def folded(listing: Listing, changes: Sequence[Change]) -> Listing:
    """What a watcher believes after ``changes``."""
    known = by_name(listing)
    version = listing.resource_version
    for change in changes:
        version = change.resource_version
        found = change.node or change.pod or change.workload
        if found is None:
            continue
        if change.gone:
            del known[f"{type(found).__name__}/{found.name}"]
        else:
            known[f"{type(found).__name__}/{found.name}"] = found
    return Listing(
        resource_version=version,
        nodes=tuple(each for each in known.values() if isinstance(each, Node)),
        pods=tuple(each for each in known.values() if isinstance(each, Pod)),
        workloads=tuple(each for each in known.values() if isinstance(each, Workload)),
    )
