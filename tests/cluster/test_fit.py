"""Placing: a pod goes where it fits, and where it fits nowhere each node says why."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.cluster.fit import free, place, words
from midstage.cluster.objects import Node, Pod, Template
from midstage.cluster.spread import Spreading, refusal, room
from midstage.contracts.apps import Toleration
from midstage.contracts.cluster import Amount, Phase, Taint
from midstage.contracts.running import Spread
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


def zoned(name: str, zone: str | None, **of: bool) -> Node:
    made = Node(
        name=name, capacity=Amount(cpu=8, memory_mb=8000), labels={"zone": zone} if zone else {}
    )
    return msgspec.structs.replace(made, **of)


def spread(skew: int = 1, over: str = "zone") -> Template:
    return Template(
        requests=Amount(cpu=2), spread=(Spread(over=over, max_skew=skew, required=True),)
    )


def test_a_required_spread_sends_a_pod_where_fewest_are_or_nowhere() -> None:
    two = (zoned("a-1", "a"), zoned("b-1", "b"))
    full = {**free(two, []), "b-1": Amount(cpu=1)}
    assert place(spread(), two, full, beside={}) == "a-1"
    assert place(spread(), two, full, beside={"a-1": 1}) is None
    assert place(spread(skew=2), two, full, beside={"a-1": 1}) == "a-1"
    assert words(spread(), two, full, beside={"a-1": 1}) == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread "
        "constraints."
    )
    wish = Template(spread=(Spread(over="zone"),))
    assert place(wish, two, full, beside={"a-1": 5}) == "a-1"


def test_a_zone_counts_whose_nodes_take_no_pods_now() -> None:
    two = (zoned("a-1", "a"), zoned("b-1", "b", schedulable=False))
    assert place(spread(), two, free(two, []), beside={"a-1": 1}) is None


def test_a_node_without_the_label_takes_none() -> None:
    two = (zoned("a-1", "a"), zoned("x", None))
    assert place(spread(), two, free(two, []), beside={"a-1": 3}) == "a-1"
    assert words(spread(over="rack"), two, free(two, [])) == (
        "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints (missing "
        "required label)."
    )


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), min_size=1, max_size=5),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_how_many_a_spread_lets_in_does_not_depend_on_who_goes_where(
    nodes: list[tuple[str, int]], skew: int, chance: random.Random
) -> None:
    domains = {f"n{number}": zone for number, (zone, _) in enumerate(nodes)}
    left = {f"n{number}": free for number, (_, free) in enumerate(nodes)}
    spreads = (Spreading(skew=skew, domains=domains),)
    beside = dict.fromkeys(domains, 0)
    most = room(spreads, left, beside, most=100)
    for placed in range(100):
        assert room(spreads, left, beside, most=100) == most - placed
        allowed = [n for n in left if left[n] and not refusal(spreads, n, beside)]
        if not allowed:
            break
        node = chance.choice(allowed)
        left[node] -= 1
        beside[node] += 1
    assert sum(beside.values()) == most
