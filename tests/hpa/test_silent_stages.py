"""A stage that leaves the figure as it was says nothing, also at the very edge of what it does."""

from datetime import timedelta

import msgspec
import pytest

from midstage.contracts.cluster import Phase
from midstage.contracts.forecast import Forecast, ForecastInput
from midstage.contracts.scaling import Evaluation, Inputs
from midstage.contracts.timed import Timed
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load, pods, policy

UNPLACED = msgspec.structs.replace(
    pods(1)[0], ready=False, phase=Phase.PENDING, started_at=NOON - timedelta(minutes=5)
)
FLOOR = Timed(name="noon", floor=4, begin="11:00", end="13:00")
CEILING = Timed(name="noon", ceiling=4, begin="11:00", end="13:00")
PAST = policy(forecast=Forecast())
FOUR = load(concurrency=40)


@pytest.mark.parametrize(
    ("stage", "of"),
    [
        ("pending", inputs(load=FOUR, cluster_at=None)),
        ("pending", inputs(load=FOUR, pods=(*pods(3), UNPLACED))),
        ("rate", inputs(load=FOUR)),
        ("forecast floor", inputs(load=FOUR, policy=PAST, forecast=ForecastInput(carried=40))),
        ("timed floor", inputs(load=FOUR, policy=policy(timed=(FLOOR,)))),
        ("timed ceiling", inputs(load=FOUR, policy=policy(timed=(CEILING,)))),
        ("bounds", inputs(load=FOUR, policy=policy(max=4))),
        ("bounds", inputs(load=FOUR, policy=policy(min=4))),
    ],
)
def test_what_changes_nothing_says_nothing(stage: str, of: Inputs) -> None:
    made: Evaluation = evaluate(of)
    [found] = [each for each in made.stages if each.name == stage]
    assert (found.replicas, found.reason, found.condition) == (4, "", "")
