"""From listings and changes to facts, without a cluster and without a log."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.objects import (
    Change,
    Endpoints,
    Listing,
    Node,
    NodeUse,
    Pod,
    PodUse,
    QuotaUse,
    Template,
    Workload,
)
from midstage.contracts.cluster import (
    Amount,
    ClusterFact,
    EndpointsObserved,
    EndpointState,
    Kind,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    Phase,
    PodObserved,
    PodUsed,
    QuotaUsed,
    Taint,
    WorkloadObserved,
)
from midstage.contracts.inventory import Inventory, key_of_fact
from midstage.control.decide.objects import answered, changed, differences, observed, untold
from midstage.control.decide.use import measured
from midstage.control.model import GpuUse, Stamp, Uses

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)
FIRST = Stamp(cluster="local", epoch=1)
SECOND = Stamp(cluster="local", epoch=2)


def a_pod(name: str = "chat-1", version: int = 5, *, ready: bool = True, node: str = "n1") -> Pod:
    return Pod(
        name=name,
        app="chat",
        revision="abc",
        workload="chat-abc",
        node=node,
        phase=Phase.RUNNING,
        ready=ready,
        created_at=NOON,
        uid=f"uid-of-{name}",
        resource_version=version,
    )


def a_node(version: int = 1) -> Node:
    return Node(
        name="n1",
        capacity=Amount(cpu=4, memory_mb=1024, gpus=1),
        labels={"zone": "a"},
        taints=(Taint(key="gpu", value="yes"),),
        uid="n1",
        resource_version=version,
    )


def a_workload(version: int = 2, *, replicas: int = 1) -> Workload:
    return Workload(
        name="chat-abc",
        app="chat",
        revision="abc",
        template=Template(),
        replicas=replicas,
        spec_version=3,
        scale_version=4,
        uid="w",
        resource_version=version,
    )


LISTING = Listing(resource_version=9, nodes=(a_node(),), pods=(a_pod(),), workloads=(a_workload(),))


def known(listing: Listing = LISTING) -> Inventory:
    return Inventory(differences(Inventory(), listing, FIRST, NOON))


def test_of_an_empty_inventory_everything_is_different() -> None:
    node, workload, pod = differences(Inventory(), LISTING, FIRST, NOON)
    assert isinstance(node, NodeObserved)
    assert (node.labels, node.taints) == ({"zone": "a"}, (Taint(key="gpu", value="yes"),))
    assert isinstance(workload, WorkloadObserved)
    assert (workload.spec_version, workload.scale_version) == (3, 4)
    assert isinstance(pod, PodObserved)
    assert (pod.uid, pod.resource_version, pod.epoch, pod.observed_at) == (
        *("uid-of-chat-1", 5, 1, NOON),
    )


def test_what_is_known_is_not_written_again_under_a_new_lease() -> None:
    assert differences(known(), LISTING, SECOND, LATER) == ()


def test_what_changed_and_what_vanished() -> None:
    listing = Listing(
        resource_version=30, nodes=(a_node(),), pods=(a_pod("chat-2", 20),), workloads=()
    )
    facts = differences(known(), listing, SECOND, LATER)
    assert [(type(fact).__name__, fact.name) for fact in facts] == [
        ("PodObserved", "chat-2"),
        ("ObjectGone", "chat-1"),
        ("ObjectGone", "chat-abc"),
    ]
    gone = facts[1]
    assert isinstance(gone, ObjectGone)
    assert (gone.kind, gone.app, gone.uid) == (Kind.POD, "chat", "uid-of-chat-1")
    assert (gone.resource_version, gone.epoch) == (30, 2)


def test_one_that_was_made_anew_under_its_name_is_different() -> None:
    anew = msgspec.structs.replace(a_pod(version=25), uid="another")
    listing = msgspec.structs.replace(LISTING, pods=(anew,))
    [fact] = differences(known(), listing, FIRST, LATER)
    assert (fact.uid, fact.resource_version) == ("another", 25)


def test_another_cluster_is_nobodys_business_here() -> None:
    other = Inventory(differences(Inventory(), LISTING, Stamp(cluster="far", epoch=7), NOON))
    assert len(differences(other, LISTING, FIRST, NOON)) == 3
    assert not [f for f in differences(other, LISTING, FIRST, NOON) if isinstance(f, ObjectGone)]


def test_a_change_is_one_fact_and_a_bookmark_is_none() -> None:
    assert changed(Change(resource_version=40), FIRST, NOON) is None
    fact = changed(Change(resource_version=41, pod=a_pod(version=41)), FIRST, NOON)
    assert fact == observed(a_pod(version=41), FIRST, NOON)
    gone = changed(Change(resource_version=42, gone=True, node=a_node(1)), FIRST, NOON)
    assert isinstance(gone, ObjectGone)
    assert (gone.kind, gone.app, gone.resource_version) == (Kind.NODE, "", 42)


def test_use_is_told_of_known_pods_and_nodes() -> None:
    uses = [
        PodUse(name="chat-1", node="n1", cpu=0.5, memory_mb=100, gpu=0.5),
        PodUse(name="unknown", node="n1", cpu=0.25, memory_mb=50),
    ]
    nodes = [
        NodeUse(name="n1", cpu=0.75, memory_mb=150, gpu=0.5),
        NodeUse(name="unknown", cpu=1, memory_mb=1),
    ]
    pod, node = measured(Uses(pods=uses, nodes=nodes), known(), FIRST, LATER)
    assert isinstance(pod, PodUsed)
    assert (pod.app, pod.cpu, pod.gpu, pod.uid) == ("chat", 0.5, 0.5, "uid-of-chat-1")
    assert isinstance(node, NodeUsed)
    assert (node.name, node.cpu, node.memory_mb, node.gpu) == ("n1", 0.75, 150, 0.5)


def test_each_quota_is_told_with_what_is_used_of_it() -> None:
    use = QuotaUse(name="few", namespace="team", hard={"pods": 5.0}, used={"pods": 4.0})
    assert measured(Uses(quotas=[use]), known(), FIRST, LATER) == [
        QuotaUsed(
            cluster=FIRST.cluster,
            namespace="team",
            name="few",
            epoch=FIRST.epoch,
            observed_at=LATER,
            hard={"pods": 5.0},
            used={"pods": 4.0},
        )
    ]


def test_gpus_are_measured_by_somebody_else() -> None:
    """A pod's share is the mean of its own GPUs, a node's of all that it has, idle ones too."""
    uses = Uses(
        pods=[PodUse(name="chat-1", node="n1", cpu=1, memory_mb=1)],
        nodes=[NodeUse(name="n1", cpu=1, memory_mb=1)],
        gpus=[
            GpuUse(node="n1", share=0.9, namespace="default", pod="chat-1"),
            GpuUse(node="n1", share=0.6, namespace="default", pod="chat-1"),
            GpuUse(node="n1", share=0.0),
        ],
    )
    assert shares(uses) == [pytest.approx(0.75), pytest.approx(0.5)]
    assert shares(Uses(pods=uses.pods, nodes=uses.nodes)) == [None, None]


def test_the_memory_of_all_gpus_of_a_pod_is_known_or_none_is() -> None:
    one, two = (
        GpuUse(node="n1", memory_mb=used, memory_total_mb=total, namespace="default", pod="chat-1")
        for used, total in ((10_000.0, 40_000.0), (5_000.0, None))
    )
    alone = GpuUse(node="n1", memory_mb=1.0, memory_total_mb=40_000.0)
    assert memories(one, alone) == [(10_000, 40_000), (10_001, 80_000)]
    assert memories(one, two) == [(15_000, None), (15_000, None)]
    assert memories(alone) == [(None, None), (1, 40_000)]
    assert memories(GpuUse(node="n1", share=0.5)) == [(None, None), (None, None)]
    assert shares(Uses(pods=USE.pods, nodes=USE.nodes, gpus=[one, alone])) == [None, None]


USE = Uses(
    pods=[PodUse(name="chat-1", node="n1", cpu=1, memory_mb=1)],
    nodes=[NodeUse(name="n1", cpu=1, memory_mb=1)],
)


def memories(*gpus: GpuUse) -> list[tuple[float | None, float | None]]:
    """Used, and in all, of each pod and node."""
    facts = measured(Uses(pods=USE.pods, nodes=USE.nodes, gpus=gpus), known(), FIRST, LATER)
    return [
        (fact.gpu_memory_mb, fact.gpu_memory_total_mb)
        for fact in facts
        if isinstance(fact, PodUsed | NodeUsed)
    ]


def shares(uses: Uses) -> list[float | None]:
    """Of the GPUs of each pod and node."""
    facts = measured(uses, known(), FIRST, LATER)
    return [fact.gpu for fact in facts if isinstance(fact, PodUsed | NodeUsed)]


def test_a_change_that_is_told_again_is_no_fact() -> None:
    held = known()
    again = observed(a_pod(version=5), FIRST, LATER)
    newer = observed(a_pod(version=6, ready=False), FIRST, LATER)
    gone = changed(Change(resource_version=7, gone=True, pod=a_pod(version=5)), FIRST, LATER)
    assert untold([again, None, newer, gone], held) == [newer, gone]
    assert gone is not None
    held.apply(gone)
    assert untold([gone, newer], held) == []
    anew = observed(a_pod(version=8), FIRST, LATER)
    assert untold([anew], held) == [anew]


def test_a_nodes_heartbeat_is_no_fact() -> None:
    """Nobody writes a node by its version; a pod is written by it, so each version is told."""
    held = known()
    beat = [observed(a_node(version), FIRST, LATER) for version in (10, 11)]
    assert untold(beat, held) == []
    listing = msgspec.structs.replace(LISTING, nodes=(a_node(12),), pods=(a_pod(version=13),))
    assert [type(fact) for fact in differences(held, listing, FIRST, LATER)] == [PodObserved]
    dead = msgspec.structs.replace(a_node(14), ready=False)
    back = a_node(15)
    told = [observed(each, FIRST, LATER) for each in (dead, back)]
    assert untold(told, held) == told  # the second is news beside the first, not beside ``held``


def test_endpoints_are_facts_like_all_others() -> None:
    address = EndpointState(address="10.0.0.7:8080", ready=True, serving=True, pod="chat-1")
    found = Endpoints(
        name="chat-x", app="chat", service="chat", endpoints=(address,), resource_version=7
    )
    listing = msgspec.structs.replace(LISTING, endpoints=(found,))
    [fact] = differences(known(), listing, FIRST, LATER)
    assert isinstance(fact, EndpointsObserved)
    assert (fact.app, fact.service, fact.endpoints) == ("chat", "chat", (address,))
    held = known(listing)
    assert held.endpoints() == [observed(found, FIRST, NOON)]
    gone = changed(Change(resource_version=50, gone=True, endpoints=found), FIRST, LATER)
    assert isinstance(gone, ObjectGone)
    assert (gone.kind, gone.app) == (Kind.ENDPOINTS, "chat")
    held.apply(gone)
    assert held.endpoints() == []


def test_a_late_fact_is_answered_with_what_is_known() -> None:
    held = known()
    wrong = observed(a_pod(version=99, ready=False), Stamp(cluster="local", epoch=0), LATER)
    [answer] = answered([wrong], held, FIRST, LATER)
    assert Inventory([wrong, answer]).pods() == [observed(a_pod(), FIRST, LATER)]
    assert answered([observed(a_pod(), FIRST, NOON)], held, FIRST, LATER) == []


def test_a_late_ghost_is_gone_and_does_not_bury_what_was_just_made() -> None:
    ghost = observed(a_pod("ghost", 50), FIRST, NOON)
    [answer] = answered([ghost], known(), SECOND, LATER)
    assert isinstance(answer, ObjectGone)
    assert Inventory([ghost, answer]).pods() == []
    real = observed(a_pod("ghost", 50), SECOND, LATER)  # the watch had not told it yet
    assert Inventory([ghost, answer, real]).pods() == [real]


PODS = st.lists(
    st.builds(
        lambda number, version, ready: a_pod(f"chat-{number}", version, ready=ready),
        st.integers(0, 5),
        st.integers(1, 100),
        st.booleans(),
    ),
    unique_by=lambda pod: pod.name,
)


@given(PODS, PODS)
def test_the_differences_make_the_inventory_say_what_the_listing_says(
    before: list[Pod], now: list[Pod]
) -> None:
    """Whatever was known, and under whatever lease: after the differences there are none."""
    first = Listing(resource_version=100, pods=tuple(before))
    held = known(first)
    second = Listing(resource_version=200, pods=tuple(now))
    facts = differences(held, second, SECOND, LATER)
    for fact in facts:
        held.apply(fact)
    assert [pod.name for pod in held.pods()] == sorted(pod.name for pod in now)
    assert {pod.name: pod.ready for pod in held.pods()} == {pod.name: pod.ready for pod in now}
    assert differences(held, second, SECOND, LATER) == ()
    assert len({key_of_fact(fact) for fact in facts}) == len(facts)


def test_the_facts_survive_the_wire() -> None:
    facts: list[ClusterFact] = [*differences(Inventory(), LISTING, FIRST, NOON)]
    for fact in facts:
        assert msgspec.json.decode(msgspec.json.encode(fact), type=type(fact)) == fact
