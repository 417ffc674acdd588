"""What an evaluation went by is told with its age."""

from datetime import timedelta

import msgspec

from midstage.client.explained import text
from midstage.contracts.scaling import EvaluationMade, Inputs, PodInput, Quota
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load


def told(of: Inputs) -> str:
    """Without the spaces between columns."""
    return " ".join(text(EvaluationMade(app=of.app, evaluation=evaluate(of))).split())


def test_gpu_memory_is_told_of_those_that_are_measured() -> None:
    pods = (
        PodInput(
            name="a",
            ready=True,
            cpu_at=NOON - timedelta(seconds=2),
            gpu_memory_mb=61_324.0,
            gpu_memory_total_mb=81_000.0,
        ),
        PodInput(name="b", ready=True),
    )
    found = told(inputs(pods=pods))
    assert "GPU memory used by the ready ones 61324 of 81000 MiB, 1 measured 2.0 s" in found


def test_a_quota_is_told_with_its_reason_and_its_age() -> None:
    busy = inputs(load=load(concurrency=85))
    full = Quota(replicas=5, reason="quota few has 5 pods", observed_at=NOON - timedelta(seconds=2))
    found = told(msgspec.structs.replace(busy, quota=full))
    assert "quota 5, quota few has 5 pods 2.0 s" in found
    assert "not above 5: quota few has 5 pods" in found
    assert "quota few" not in told(busy)
