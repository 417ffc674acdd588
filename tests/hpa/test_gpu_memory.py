"""GPU memory as a resource: HPA v2's reckoning, of what the pods' GPUs have."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET

from midstage.contracts.autoscaling import Metric, MetricType, ResourceMetric, Target, TargetType
from midstage.contracts.cluster import Amount, Phase, PodObserved, PodUsed
from midstage.contracts.inventory import Inventory
from midstage.contracts.policy import Targets
from midstage.contracts.scaling import PodInput, Proposal, Rule
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.views.pods import pods as folded
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, policy

TOTAL = 40_000.0
HALF = policy(targets=Targets(gpu_memory=0.5))


def average(value: str) -> Any:
    target = Target(type=TargetType.AVERAGE_VALUE, average_value=value)
    resource = ResourceMetric(name="nvidia.com/gpu.memory", target=target)
    return policy(targets=Targets(), metrics=(Metric(type=MetricType.RESOURCE, resource=resource),))


def pod(number: int, used: float | None, **changed: Any) -> PodInput:
    return PodInput(
        **{
            "name": f"pod-{number}",
            "ready": True,
            "started_at": NOON - timedelta(hours=1),
            "cpu_at": NOON,
            "gpus_requested": 1,
            "gpu_memory_mb": UNSET if used is None else used,
            "gpu_memory_total_mb": UNSET if used is None else TOTAL,
            **changed,
        }
    )


def proposed(*pods: PodInput, by: Any = HALF) -> Proposal:
    [found] = evaluate(inputs(policy=by, pods=pods, current=len(pods))).proposals
    return found


def test_it_wants_what_holds_the_memory_at_the_targets_share() -> None:
    found = proposed(*(pod(number, 0.8 * TOTAL) for number in range(4)))
    assert (found.rule, found.want, found.carried, found.target) == (Rule.GPU_MEMORY, 7, 0.8, 0.5)
    assert proposed(*(pod(number, 0.2 * TOTAL) for number in range(4))).want == 2
    assert proposed(*(pod(number, 0.52 * TOTAL) for number in range(4))).want == 4


def test_a_gpu_that_is_not_measured_is_as_large_as_the_largest_of_the_others() -> None:
    by_a_third = policy(targets=Targets(gpu_memory=0.3))
    sizes = (pod(0, 30_000), pod(1, 60_000, gpu_memory_total_mb=80_000.0), pod(2, None))
    assert proposed(*sizes, by=by_a_third).want == 5  # 45 % of 200,000
    two = pod(0, 120, gpus_requested=2, gpu_memory_total_mb=160.0)
    assert proposed(two, pod(1, None), by=by_a_third).want == 4  # 50 % of 240


def test_an_average_amount_for_each_pod() -> None:
    four = [pod(number, 30_000) for number in range(4)]
    assert proposed(*four, by=average("20000Mi")).want == 6
    assert proposed(*four, by=average("60000Mi")).want == 2


def test_a_pod_that_is_not_measured_counts_against_the_direction_as_in_hpa_v2() -> None:
    """As full where it would shrink, as empty where it would grow."""
    low = [pod(number, 0.2 * TOTAL) for number in range(3)]
    assert proposed(*low, pod(3, None)).want == 4  # (3 x 20 + 100) / 4 is 40 %, so 3.2
    high = [pod(number, 0.8 * TOTAL) for number in range(3)]
    assert proposed(*high).want == 5
    assert proposed(*high, pod(3, None)).want == 5  # (3 x 80 + 0) / 4 is 60 %, so 4.8


def test_a_gpu_that_is_not_measured_is_as_large_as_the_others() -> None:
    """Two GPUs each; the new pod's are not known yet and ask for as much as two of the others."""
    two = [
        pod(number, TOTAL, gpus_requested=2, gpu_memory_total_mb=2 * TOTAL) for number in range(2)
    ]
    waits = pod(2, None, gpus_requested=2, ready=False, phase=Phase.PENDING)
    assert proposed(*two, waits).want == 3


@pytest.mark.parametrize(
    ("pods", "reason"),
    [
        ((pod(0, None), pod(1, None)), "no GPU's memory is known"),
        ((), "the workload has no pods"),
        ((pod(0, TOTAL), pod(1, None, gpus_requested=0)), "pod-1 requests nothing of the resource"),
        ((pod(0, TOTAL, cpu_at=NOON - timedelta(seconds=31)),), "no ready pod is measured"),
        ((pod(0, float("nan")),), "no ready pod is measured"),
        ((pod(0, 1.0, gpu_memory_total_mb=float("nan")),), "requests nothing of the resource"),
    ],
)
def test_what_is_not_known_wants_nothing(pods: tuple[PodInput, ...], reason: str) -> None:
    found = proposed(*pods)
    assert (found.rule, found.want) == (Rule.GPU_MEMORY, None)
    assert reason in found.reason
    assert evaluate(inputs(policy=HALF, pods=pods, current=4)).replicas == 4


def test_controls_figures_are_the_inputs() -> None:
    def told(used: float | None, total: float | None) -> PodInput:
        held = PodObserved(
            cluster="local",
            name="a",
            epoch=1,
            observed_at=NOON,
            app="chat",
            phase=Phase.RUNNING,
            ready=True,
            requests=Amount(gpus=1),
            created_at=NOON,
        )
        fact = PodUsed(
            cluster="local",
            name="a",
            epoch=1,
            observed_at=NOON,
            cpu=0.1,
            memory_mb=1,
            gpu_memory_mb=used,
            gpu_memory_total_mb=total,
        )
        [found] = folded(Inventory([held, fact]), "chat", NOON)
        return found

    full = told(30_000, TOTAL)
    assert (full.gpu_memory_mb, full.gpu_memory_total_mb) == (30_000, TOTAL)
    odd = told(float("nan"), float("inf"))
    assert (odd.gpu_memory_mb, odd.gpu_memory_total_mb) == (UNSET, UNSET)
    bare = told(None, None)
    assert (bare.gpu_memory_mb, bare.gpu_memory_total_mb) == (UNSET, UNSET)
