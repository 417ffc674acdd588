"""Who may be evicted, by the budget of its application alone."""

from datetime import UTC, datetime

import pytest

from midstage.cluster.disruption import refusal
from midstage.cluster.objects import NodeUse, Pod, PodUse, Template, Workload
from midstage.cluster.usage import by_node
from midstage.contracts.cluster import Phase
from midstage.contracts.running import Disruption

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pods(ready: int, unready: int = 0, *, phase: Phase = Phase.RUNNING) -> list[Pod]:
    return [
        Pod(
            name=f"chat-{number}",
            app="chat",
            revision="1",
            workload="chat-1",
            phase=phase,
            ready=number < ready,
            created_at=NOON,
        )
        for number in range(ready + unready)
    ]


def told(replicas: int, *, most: int | None) -> Workload:
    return Workload(
        name="chat-1",
        app="chat",
        revision="1",
        template=Template(),
        replicas=replicas,
        disruption=None if most is None else Disruption(max_unavailable=most),
    )


@pytest.mark.parametrize(
    ("ready", "unready", "replicas", "most", "first", "last"),
    [
        (3, 0, 3, None, True, True),
        (3, 0, 3, 1, True, True),
        (3, 0, 3, 0, False, False),
        (2, 1, 3, 1, False, True),
        (1, 2, 3, 1, False, False),
        (4, 0, 3, 0, True, True),
        (1, 2, 3, 2, False, True),
    ],
)
def test_a_budget(
    ready: int, unready: int, replicas: int, most: int | None, *, first: bool, last: bool
) -> None:
    """The first pod is ready, the last one is not where some are not."""
    held = pods(ready, unready)
    workloads = [told(replicas, most=most)]
    assert (refusal(held[0], held, workloads) == "") == first
    assert (refusal(held[-1], held, workloads) == "") == last


def test_a_pod_on_no_node_costs_nothing() -> None:
    held = pods(0, 2, phase=Phase.PENDING)
    assert refusal(held[0], held, [told(2, most=0)]) == ""


def test_the_refusal_says_what_is_missing() -> None:
    held = pods(1, 2)
    assert refusal(held[0], held, [told(3, most=1)]) == (
        "chat has 1 of 3 ready, and at most 1 may be away"
    )


def test_a_node_uses_what_its_pods_use_together() -> None:
    uses = [
        PodUse(name="a", node="n1", cpu=0.5, memory_mb=100, gpu=0.5),
        PodUse(name="b", node="n1", cpu=0.25, memory_mb=50),
        PodUse(name="c", node="n0", cpu=1, memory_mb=10),
        PodUse(name="d", node="", cpu=1, memory_mb=10),
    ]
    assert by_node(uses) == [
        NodeUse(name="n0", cpu=1, memory_mb=10),
        NodeUse(name="n1", cpu=0.75, memory_mb=150, gpu=0.5),
    ]
