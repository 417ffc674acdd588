"""A whole hpa for each kind of rule: what it decides by it, and that all of it is made again."""

from datetime import timedelta
from pathlib import Path

import pytest

from midstage.contracts.autoscaling import (
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    ResourceMetric,
    Target,
    TargetType,
)
from midstage.contracts.policy import Knative, Policy
from midstage.contracts.timed import Timed
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, follows, now, running
from tests.hpa.test_process import all_again, evaluated_anew

pytestmark = pytest.mark.slow


def clock(minutes: float) -> str:
    """A time of day in UTC, so many minutes from now."""
    return f"{now() + timedelta(minutes=minutes):%H:%M}"


def cron(seconds: float) -> str:
    """The very second so many from now: the next minute may begin at any moment."""
    return f"{now() + timedelta(seconds=seconds):%S %M %H %d %m} *"


def test_a_window_that_begins_soon_is_filled_before_it_does(others: Others, tmp_path: Path) -> None:
    """Its cold start is not known: a minute is believed, and ten seconds for the way."""
    soon = Timed(name="soon", floor=7, cron=cron(seconds=60), duration_s=1740)
    later = Timed(name="later", floor=9, begin=clock(5), end=clock(30))
    others.reach()
    others.specify("chat", Policy(min=1, max=20, timed=(soon, later)), replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [7])
        [decision] = hpa.decisions("chat")
        assert "soon is at least 7 from" in decision["reason"]
        inputs = evaluated_anew(hpa, "chat")["evaluation"]
        assert inputs["inputs"]["cold_start_s"] is None
    all_again(others)


def test_a_panic_goes_on_in_the_process_that_takes_over(others: Others, tmp_path: Path) -> None:
    rule = Knative(target=2, utilization=0.5, stable_window_s=60)
    others.reach()
    others.specify("chat", Policy(min=1, max=50, knative=rule), replicas=2)
    others.pods("chat", 2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2])
        follows(hpa, others, "chat", 20, [2, 20])
        evaluated_anew(hpa, "chat")
    with running(others.log, others.names, tmp_path) as hpa:
        for back in range(7, 0, -1):
            others.load("chat", in_flight=0, second=now() - timedelta(seconds=back))
        made = evaluated_anew(hpa, "chat")["evaluation"]
        assert made["inputs"]["knative"]["memory"]["most"] == 20
        assert hpa.counts("chat") == [2, 20]
    all_again(others)


def test_an_input_that_nobody_says_lets_nothing_shrink_and_is_named(
    others: Others, tmp_path: Path
) -> None:
    share = Target(type=TargetType.UTILIZATION, average_utilization=50)
    cpu = Metric(type=MetricType.RESOURCE, resource=ResourceMetric(name="cpu", target=share))
    queue = Metric(
        type=MetricType.EXTERNAL,
        external=ExternalMetric(
            metric=Identifier(name="queue"),
            target=Target(type=TargetType.VALUE, value="30"),
        ),
    )
    others.reach()
    others.specify("chat", Policy(min=1, max=9, metrics=(cpu, queue)), replicas=4)
    others.pods("chat", 4, cpu=0.01)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [4])
        others.reach()
        others.pods("chat", 4, cpu=0.01)  # what is used is believed for thirty seconds
        made = evaluated_anew(hpa, "chat")["evaluation"]
        assert "not lowered while queue is not known" in made["reason"]
        assert hpa.counts("chat") == [4]
    all_again(others)
