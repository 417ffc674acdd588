"""Policies that can't be are refused with the path and the reason; what Kubernetes has is taken."""

import msgspec
import pytest

from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError
from midstage.contracts.forecast import Forecast, Season
from midstage.deploy.api.specs import spec_of

MANIFEST = {
    "metrics": [
        {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 60},
            },
        },
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "memory",
                "container": "main",
                "target": {"type": "AverageValue", "averageValue": "1.5Gi"},
            },
        },
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "packets-per-second"},
                "target": {"type": "AverageValue", "averageValue": "1k"},
            },
        },
        {
            "type": "Object",
            "object": {
                "metric": {"name": "requests-per-second"},
                "describedObject": {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "Ingress",
                    "name": "main-route",
                },
                "target": {"type": "Value", "value": "10k"},
            },
        },
        {
            "type": "External",
            "external": {
                "metric": {
                    "name": "queue_messages_ready",
                    "selector": {"matchLabels": {"queue": "worker_tasks"}},
                },
                "target": {"type": "AverageValue", "averageValue": 30},
            },
        },
    ],
    "behavior": {
        "scaleDown": {
            "stabilizationWindowSeconds": 300,
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "tolerance": "0.05",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15},
                {"type": "Pods", "value": 4, "periodSeconds": 15},
            ],
        },
    },
}
TARGETS = {"concurrency": 4}
CLOCK = {"name": "noon", "floor": 5, "begin": "11:00", "end": "13:00"}
CRON = {"name": "noon", "floor": 5, "cron": "0 11 * * 1-5", "duration_s": 7200}


def specified(**scaling: object) -> AppSpec:
    """The spec that deploy takes; RefusedError."""
    given = {"image": "ocr:1", "scaling": {"min": 2, "max": 10, **scaling}}
    return spec_of(msgspec.json.encode(given))


def refused(**scaling: object) -> str:
    """What deploy says against it."""
    with pytest.raises(RefusedError) as error:
        specified(**scaling)
    return str(error.value)


def test_a_manifests_metrics_and_behavior_are_pasted_unchanged() -> None:
    policy = specified(**MANIFEST).scaling
    assert policy is not None
    again = msgspec.json.decode(msgspec.json.encode(policy))
    assert again["metrics"] == MANIFEST["metrics"]
    assert again["behavior"]["scaleDown"] == MANIFEST["behavior"]["scaleDown"]  # type: ignore[index]  # a literal


@pytest.mark.parametrize(
    "timed",
    [
        CLOCK,
        CRON,
        {**CLOCK, "ceiling": 5, "zone": "Europe/Berlin", "days": ["mon", "fri"]},
        {**CLOCK, "dates": ["2026-12-24"], "exclude": ["2026-12-25/2027-01-06", "2026-05-01"]},
    ],
)
def test_bounds_by_the_clock_are_taken_even_alone(timed: object) -> None:
    assert specified(timed=[timed]).scaling is not None


@pytest.mark.parametrize("targets", [TARGETS, {"requests_per_s": 5}])
def test_a_forecast_is_taken_beside_a_total(targets: object) -> None:
    policy = specified(targets=targets, forecast={"season": "week"}).scaling
    assert policy is not None
    assert policy.forecast == Forecast(season=Season.WEEK)


@pytest.mark.parametrize(
    ("scaling", "reason"),
    [
        ({}, "scaling.targets: no target is given"),
        ({"min": 0, "targets": TARGETS}, "scaling.min: Expected `int` >= 1"),
        ({"min": 11, "targets": TARGETS}, "scaling.min: 11 is more than scaling.max 10"),
        ({**MANIFEST, "up": {"pods": 1}}, "scaling.up: behavior says how fast already"),
        (
            {**MANIFEST, "stabilise_down_s": 60},
            "scaling.stabilise_down_s: behavior says how fast already",
        ),
        ({"knative": {}, "stabilise_up_s": 3}, "scaling.stabilise_up_s: knative says how fast"),
        ({**MANIFEST, "knative": {}}, "scaling.behavior: knative limits and delays by itself"),
        ({"fallback": {"static": 3, "at_least": 3}}, "scaling.fallback: give one of static and"),
        (
            {"forecast": {}, "targets": {"cpu": 0.6}},
            "scaling.forecast: it expects what requests_per_s or concurrency carried on earlier",
        ),
        ({"forecast": {"season": "month"}}, "scaling.forecast.season: Invalid enum value 'month'"),
        ({"forecast": {"margin": 0}}, "scaling.forecast.margin: Expected `float` > 0.0"),
        ({"forecast": {"lead": 5}}, "scaling.forecast.lead: unknown field; did you mean lead_s?"),
        ({"fallback": {"static": 11}}, "scaling.fallback.static: 11 is not within scaling 2 to 10"),
        ({"knative": {"target": 0}}, "scaling.knative.target: Expected `float` > 0.0"),
        ({"knatives": {}}, "scaling.knatives: unknown field; did you mean knative?"),
    ],
)
def test_what_a_policy_can_not_be(scaling: dict[str, object], reason: str) -> None:
    assert reason in refused(**scaling)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"zone": "Europe/Berlim"}, "timed[0].zone: no time zone is called 'Europe/Berlim'"),
        ({"zone": "../etc/passwd"}, "timed[0].zone: no time zone is called"),
        ({"floor": 11}, "timed[0].floor: 11 is more than scaling.max 10"),
        ({"floor": None, "ceiling": 1}, "timed[0].ceiling: 1 is less than scaling.min 2"),
        ({"ceiling": 4}, "timed[0].ceiling: is below the floor of 5"),
        ({"floor": None}, "timed[0].floor: says neither a floor nor a ceiling"),
        ({"begin": None}, "timed[0].begin: is missing"),
        ({"end": "24:00"}, "timed[0].end: Expected `str` matching regex"),
        ({"exclude": ["2026-02-30"]}, "timed[0].exclude[0]: '2026-02-30' is no date"),
        ({"exclude": ["2026-02-03/2026-02-01"]}, "timed[0].exclude[0]: ends before it begins"),
        ({"dates": ["2026-13-01"]}, "timed[0].dates[0]: '2026-13-01' is no date"),
        ({"days": ["monday"]}, "timed[0].days[0]: Invalid enum value 'monday'"),
        ({"cron": "0 11 * * *"}, "timed[0].duration_s: is missing: a cron expression says no end"),
        ({"duration_s": 60}, "timed[0].duration_s: goes with cron alone"),
    ],
)
def test_what_a_window_can_not_be(change: dict[str, object], reason: str) -> None:
    said = {name: value for name, value in {**CLOCK, **change}.items() if value is not None}
    assert f"scaling.{reason}" in refused(timed=[said])


@pytest.mark.parametrize("cron", ["0 25 * * *", "every day", "0 11 * * 1-5 *", "0 0 30 2 *"])
def test_what_is_no_cron_expression(cron: str) -> None:
    assert "scaling.timed[0].cron: " in refused(timed=[{**CRON, "cron": cron}])


def test_two_windows_have_two_names() -> None:
    assert "scaling.timed: 2 rules are called 'noon'" in refused(timed=[CLOCK, CRON])


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ({"type": "Resource"}, "resource: is missing, the type is Resource"),
        (
            {"type": "Pods", "resource": {"name": "cpu", "target": {"type": "Value", "value": 1}}},
            "resource: is not what a metric of type Pods has",
        ),
        (
            {"type": "Resource", "resource": {"name": "disk", "target": {"type": "Utilization"}}},
            "resource.name: 'disk' is none of cpu, memory, nvidia.com/gpu, nvidia.com/gpu.memory",
        ),
        (
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}},
            "resource.target.averageUtilization: is missing, the type is Utilization",
        ),
        (
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Value", "value": "1"}},
            },
            "resource.target.type: a metric of type Resource has Utilization or AverageValue",
        ),
        (
            {
                "type": "External",
                "external": {
                    "metric": {"name": "q"},
                    "target": {"type": "Value", "value": "many", "averageValue": "1"},
                },
            },
            "external.target.value: 'many' is no quantity like 500m, 1.5 or 2Gi",
        ),
        ({"type": "Queue"}, "type: Invalid enum value 'Queue'"),
    ],
)
def test_what_a_metric_can_not_be(metric: dict[str, object], reason: str) -> None:
    assert f"scaling.metrics[0].{reason}" in refused(metrics=[metric])


@pytest.mark.parametrize("quantity", ["0", "-1", "1x", "", "1e999", "NaN", -3, "9" * 40])
def test_what_is_no_quantity(quantity: object) -> None:
    metric = {
        "type": "External",
        "external": {
            "metric": {"name": "q"},
            "target": {"type": "Value", "value": quantity},
        },
    }
    assert "scaling.metrics[0].external.target.value: " in refused(metrics=[metric])
