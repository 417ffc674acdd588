"""Signals of a policy that can't be are refused with the path and the reason."""

import pytest

from tests.deploy.test_scaling import refused, specified

LAG = {"target": 10, "group": "ocr", "topics": ["pages"]}
EXPRESSION = {"key": "zone", "operator": "Near", "values": ["a"]}
SELECTED = {
    "type": "External",
    "external": {
        "metric": {"name": "queue", "selector": {"matchExpressions": [EXPRESSION]}},
        "target": {"type": "AverageValue", "averageValue": 30},
    },
}


@pytest.mark.parametrize(
    "said",
    [
        {"target": 10},
        {"drain_s": 60, "rate": 2.5, "partitions": 0},
        LAG,
        {"drain_s": 60, "target": 10, "group": "ocr", "topics": ["a", "b"]},
    ],
)
def test_a_signal_is_enough_to_scale_by(said: object) -> None:
    policy = specified(signals={"jobs": said}).scaling
    assert policy is not None
    assert list(policy.signals) == ["jobs"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "scaling.signals.jobs: give a target for each replica, or drain_s"),
        ({"target": 1, "rate": 2}, "scaling.signals.jobs.rate: says how long it takes to drain"),
        ({"target": 1, "group": "ocr"}, "scaling.signals.jobs.topics: are missing"),
        ({"target": 1, "topics": ["pages"]}, "scaling.signals.jobs.group: is missing"),
        ({**LAG, "topics": ["a", "a"]}, "scaling.signals.jobs.topics: one is named twice"),
        ({"drain_s": 0}, "Expected `float` >= 1.0"),
        ({"target": -1}, "Expected `float` > 0.0"),
    ],
)
def test_what_no_rule_could_go_by_is_refused(said: object, reason: str) -> None:
    assert reason in refused(signals={"jobs": said})


def test_an_operator_that_no_selector_has_is_refused() -> None:
    reason = refused(metrics=[SELECTED])
    where = "scaling.metrics[0].external.metric.selector.matchExpressions[0].operator"
    assert f"{where}: 'Near' is none of In, NotIn, Exists, DoesNotExist" in reason
