"""Placing: a pod goes where it fits, and where it fits nowhere each node says why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.cluster.fit import free, place, words
from midstage.cluster.objects import Node, Pod, Template
from midstage.contracts.apps import Toleration
from midstage.contracts.cluster import Amount, Phase, Taint
from midstage.testkit.clock import NOON

CPU = Node(name="cpu-1", capacity=Amount(cpu=8, memory_mb=8000), labels={"pool": "cpu"})
GPU = Node(name="gpu-1", capacity=Amount(cpu=8, memory_mb=8000, gpus=2), labels={"pool": "gpu"})
TAINTED = Node(
    name="gpu-2",
    capacity=Amount(cpu=8, memory_mb=8000, gpus=2),
    taints=(Taint(key="dedicated", value="batch"),),
)
ALL = (CPU, GPU, TAINTED)

AMOUNTS = st.builds(
    Amount,
    cpu=st.floats(0, 20, allow_nan=False),
    memory_mb=st.integers(0, 20_000),
    gpus=st.integers(0, 4),
)
NODES = st.lists(
    st.builds(
        Node,
        name=st.uuids().map(str),
        capacity=AMOUNTS,
        ready=st.booleans(),
        schedulable=st.booleans(),
        labels=st.sampled_from([{}, {"pool": "a"}]),
        taints=st.sampled_from([(), (Taint(key="dedicated", value="batch"),)]),
    ),
    max_size=5,
)
TEMPLATES = st.builds(
    Template,
    requests=AMOUNTS,
    node_selector=st.sampled_from([{}, {"pool": "a"}]),
    tolerations=st.sampled_from([(), (Toleration(key="dedicated"),)]),
)


def pod(node: str, phase: Phase = Phase.RUNNING, *, cpu: float = 3) -> Pod:
    return Pod(
        name="p",
        app="a",
        revision="1",
        workload="w",
        node=node,
        phase=phase,
        requests=Amount(cpu=cpu, memory_mb=100),
        created_at=NOON,
    )


def asks(**amount: float) -> Template:
    return Template(
        requests=Amount(
            cpu=amount.get("cpu", 0),
            memory_mb=int(amount.get("memory_mb", 0)),
            gpus=int(amount.get("gpus", 0)),
        )
    )


@pytest.mark.slow
@settings(deadline=None)
@given(TEMPLATES, NODES)
def test_a_pod_is_placed_exactly_where_no_node_has_to_excuse_itself(
    template: Template, nodes: list[Node]
) -> None:
    left = free(nodes, [])
    name = place(template, nodes, left)
    if name is None:
        said = words(template, nodes, left)
        assert said.startswith(f"0/{len(nodes)} nodes are available: ")
        return
    (node,) = [each for each in nodes if each.name == name]
    assert node.ready
    assert node.schedulable
    assert template.requests.cpu <= left[name].cpu + 1e-9
    assert template.requests.memory_mb <= left[name].memory_mb or not template.requests.memory_mb
    assert template.requests.gpus <= left[name].gpus or not template.requests.gpus


def test_pods_take_what_they_requested_unless_they_are_lost_or_on_no_node() -> None:
    left = free(ALL, [pod("cpu-1"), pod("cpu-1", Phase.STOPPING), pod(""), pod("elsewhere")])
    assert left["cpu-1"] == Amount(cpu=2, memory_mb=7800)
    assert free(ALL, [pod("cpu-1", Phase.LOST)])["cpu-1"] == CPU.capacity


def test_gpu_nodes_are_kept_for_who_asks_for_gpus() -> None:
    left = free(ALL, [pod("cpu-1", cpu=6)])
    assert place(asks(cpu=1), ALL, left) == "cpu-1"
    assert place(asks(cpu=3), ALL, left) == "gpu-1"
    assert place(asks(cpu=1, gpus=1), ALL, left) == "gpu-1"


def test_pods_are_spread_over_the_nodes_that_have_most_room() -> None:
    twin = Node(name="cpu-2", capacity=CPU.capacity)
    assert place(asks(cpu=1), (CPU, twin), free((CPU, twin), [pod("cpu-1")])) == "cpu-2"
    assert place(asks(cpu=1), (CPU, twin), free((CPU, twin), [])) == "cpu-1"


def test_words_count_nodes_by_reason_as_kubernetes_says_them() -> None:
    cordoned = Node(name="x", capacity=Amount(cpu=9), schedulable=False)
    dead = Node(name="y", capacity=Amount(cpu=9), ready=False)
    nodes = (*ALL, cordoned, dead)
    assert words(asks(cpu=9, gpus=1), nodes, free(nodes, [])) == (
        "0/5 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint"
        " {dedicated: batch}, 1 node(s) were not ready, 1 node(s) were unschedulable,"
        " 2 Insufficient cpu."
    )
    assert words(asks(cpu=9), (), {}) == "0/0 nodes are available: there are none."


def test_a_taint_is_asked_before_the_selector() -> None:
    chosen = Template(node_selector={"pool": "gpu"}, requests=Amount(gpus=3))
    assert words(chosen, ALL, free(ALL, [])) == (
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node"
        " affinity/selector, 1 node(s) had untolerated taint {dedicated: batch}."
    )


def test_a_toleration_without_a_value_takes_any() -> None:
    for tolerated, where in [("batch", "gpu-2"), (None, "gpu-2"), ("web", None)]:
        template = Template(tolerations=(Toleration(key="dedicated", value=tolerated),))
        assert place(template, (TAINTED,), free((TAINTED,), [])) == where
