"""What an evaluation went by is told with its age."""

from datetime import timedelta

import msgspec
import pytest

from midstage.client.explained import text
from midstage.contracts.forecast import ForecastInput
from midstage.contracts.scaling import EvaluationMade, Inputs, PodInput, Quota
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load
from tests.hpa.peaks import foreseeing

HELPS = ForecastInput(
    carried=75.0,
    until=NOON - timedelta(minutes=20),
    tested_s=604_800.0,
    lost_without=0.0175,
    lost_with=0.001,
)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (HELPS, ("expected by the day 75 1200.0 s",)),
        (HELPS, ("forecast tested on 7 days 0.100% of the load lost with it, 1.750% without",)),
        (HELPS, ("forecast floor 8 75 is expected by the day, 10 each", "cold start unknown")),
        (None, ("expected by the day unknown", "the forecast is off: nothing is known of the")),
        (ForecastInput(off="nothing was carried"), ("forecast tested on 0 days nothing was ca",)),
    ],
)
def test_a_forecast_is_explained(found: ForecastInput | None, said: tuple[str, ...]) -> None:
    of = inputs(policy=foreseeing(), load=load(concurrency=20), forecast=found)
    told = text(EvaluationMade(app="chat", evaluation=evaluate(of)))
    words = "\n".join(" ".join(line.split()) for line in told.splitlines())
    assert all(each in words for each in said), told


def test_without_a_forecast_nothing_is_said_of_it() -> None:
    told = text(EvaluationMade(app="chat", evaluation=evaluate(inputs())))
    assert "expected" not in told
    assert "cold start" not in told


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
