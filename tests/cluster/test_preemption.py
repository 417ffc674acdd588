"""Whom the scheduler evicts: as few as need be, of least priority, nobody who would not help."""

import msgspec

from midstage.cluster.objects import Node, Pod, Template
from midstage.cluster.preemption import victims
from midstage.contracts.cluster import Amount, Phase
from midstage.testkit.clock import NOON

ONE = Template(requests=Amount(cpu=1))
TWO = Template(requests=Amount(cpu=2))
NODES = [Node(name=name, capacity=Amount(cpu=2, memory_mb=1024)) for name in ("a", "b")]


def pod(name: str, node: str, priority: int, *, cpu: float = 1) -> Pod:
    return Pod(
        name=name,
        app="app",
        revision="r",
        workload="w",
        node=node,
        phase=Phase.RUNNING,
        requests=Amount(cpu=cpu),
        priority=priority,
        created_at=NOON,
    )


def evicted(template: Template, *pods: Pod, priority: int = 5) -> list[str]:
    waits = msgspec.structs.replace(pod("new", "", priority), phase=Phase.PENDING)
    return [
        each.name for each in victims(waits, template, nodes=NODES, pods=[*pods, waits], beside={})
    ]


def test_the_least_of_the_least_goes_and_who_can_stay_stays() -> None:
    pods = [pod("a1", "a", 0), pod("a2", "a", 3), pod("b1", "b", 1), pod("b2", "b", 9)]
    assert evicted(ONE, *pods) == ["a1"]
    assert evicted(TWO, *pods) == ["a1", "a2"]


def test_nobody_goes_of_as_much_priority_or_where_it_would_not_help() -> None:
    pods = [pod("a1", "a", 5), pod("a2", "a", 0), pod("b1", "b", 9, cpu=2)]
    assert evicted(TWO, *pods) == []
    assert evicted(ONE, *pods, priority=0) == []
    assert evicted(ONE, *pods) == ["a2"]


def test_nobody_goes_where_one_ends_already_in_whose_place_it_fits() -> None:
    ending = msgspec.structs.replace(pod("a1", "a", 9), phase=Phase.STOPPING)
    rest = [pod("a2", "a", 9), pod("b1", "b", 0), pod("b2", "b", 0)]
    assert evicted(ONE, ending, *rest) == []
