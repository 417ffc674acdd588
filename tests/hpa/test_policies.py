"""What a policy means in the terms of HPA v2 and KPA, to each figure."""

import pytest

from midstage.contracts import autoscaling
from midstage.contracts.autoscaling import (
    By,
    Metric,
    MetricType,
    ScalingPolicy,
    ScalingRules,
    Select,
)
from midstage.contracts.policy import Knative, Policy, Rate, Targets
from midstage.hpa.decide import policies
from midstage.hpa.decide.hpav2.behavior import DEFAULT_DOWN, DEFAULT_UP, Behavior, Rules
from midstage.hpa.decide.hpav2.behavior import Rate as Limit
from midstage.hpa.decide.hpav2.proposing import Tolerance
from midstage.hpa.decide.kpa import Spec

PODS = Metric(type=MetricType.PODS)
FEW = ScalingPolicy(type=By.PODS, value=3, period_seconds=60)


def said(**known: object) -> Policy:
    return Policy(**{"max": 9, "targets": Targets(), **known})  # type: ignore[arg-type]  # said


def test_a_manifest_without_behavior_is_one_of_before_behaviors() -> None:
    bare = said(metrics=(PODS,))
    assert policies.behavior(bare) is None
    assert policies.longest_s(bare) == (0, 300)
    assert policies.period_s(bare) == 0
    assert not policies.shortened(bare)


@pytest.mark.parametrize(
    "short", [{"up": Rate(pods=1)}, {"down": Rate(pods=1)}, {"stabilise_up_s": 7},
              {"stabilise_down_s": 7}]
)  # fmt: skip
def test_who_says_one_thing_in_the_short_form_has_a_behavior(short: dict[str, object]) -> None:
    assert policies.shortened(said(metrics=(PODS,), **short))
    assert policies.behavior(said(metrics=(PODS,), **short)) is not None


def test_the_short_form_in_the_long_one() -> None:
    up, down = Rate(pods=2, percent=50, period_s=30), Rate(pods=1, percent=10, period_s=90)
    short = said(up=up, down=down, stabilise_up_s=5, stabilise_down_s=9)
    assert policies.behavior(short) == Behavior(
        up=Rules(
            rates=(
                Limit(by=By.PODS, value=2, period_s=30),
                Limit(by=By.PERCENT, value=50, period_s=30),
            ),
            stabilization_s=5,
        ),
        down=Rules(
            rates=(
                Limit(by=By.PODS, value=1, period_s=90),
                Limit(by=By.PERCENT, value=10, period_s=90),
            ),
            stabilization_s=9,
        ),
    )
    assert policies.longest_s(short) == (5, 9)
    assert policies.period_s(short) == 90
    assert policies.period_s(said(up=down, down=up)) == 90


def test_knative_limits_by_itself_whatever_the_short_form_says() -> None:
    found = policies.behavior(said(knative=Knative(), up=Rate(pods=1, percent=0)))
    any_count = Rules(rates=(Limit(by=By.PODS, value=1e9, period_s=1),))
    assert found == Behavior(up=any_count, down=any_count)


def test_what_a_behavior_leaves_out_is_the_default() -> None:
    assert policies.behavior(said(behavior=autoscaling.Behavior())) == Behavior()
    bare = autoscaling.Behavior(scale_up=ScalingRules(), scale_down=ScalingRules())
    assert policies.behavior(said(behavior=bare)) == Behavior(up=DEFAULT_UP, down=DEFAULT_DOWN)
    whole = ScalingRules(stabilization_window_seconds=0, select_policy=Select.MIN, policies=(FEW,))
    long = policies.behavior(said(behavior=autoscaling.Behavior(scale_down=whole)))
    few = Limit(by=By.PODS, value=3, period_s=60)
    assert long == Behavior(down=Rules(rates=(few,), select=Select.MIN, stabilization_s=0))


@pytest.mark.parametrize(
    ("rules", "tolerance"),
    [
        ({}, Tolerance(down=0.2, up=0.2)),
        ({"scale_up": ScalingRules(tolerance="0.3")}, Tolerance(down=0.2, up=0.3)),
        ({"scale_down": ScalingRules(tolerance="50m")}, Tolerance(down=0.05, up=0.2)),
        ({"scale_down": ScalingRules(tolerance="some")}, Tolerance(down=0.2, up=0.2)),
    ],
)
def test_the_tolerance_of_a_direction(rules: dict[str, ScalingRules], tolerance: Tolerance) -> None:
    of = said(tolerance=0.2, behavior=autoscaling.Behavior(**rules))
    assert policies.tolerance(of) == tolerance
    assert policies.tolerance(said(tolerance=0.2)) == Tolerance(down=0.2, up=0.2)


def test_knative_in_kpas_terms() -> None:
    rule = Knative(
        target=8,
        utilization=0.5,
        stable_window_s=40,
        panic_threshold_percent=150,
        max_scale_up_rate=10,
        max_scale_down_rate=3,
        scale_down_delay_s=7,
        activation_scale=2,
    )
    assert policies.knative(rule) == Spec(
        target=4,
        total=8,
        panic_threshold=1.5,
        most_up=10,
        most_down=3,
        stable_s=40,
        delay_s=7,
        activation=2,
    )


@pytest.mark.parametrize(
    ("stable_s", "percent", "seconds"), [(60, 10, 6), (60, 2.5, 2), (6, 1, 1), (600, 99.9, 599)]
)
def test_a_panic_shows_in_whole_seconds(stable_s: int, percent: float, seconds: int) -> None:
    rule = Knative(stable_window_s=stable_s, panic_window_percent=percent)
    assert policies.panic_window_s(rule) == seconds


@pytest.mark.parametrize(
    ("share", "percent"), [(0.6, 60), (0.01, 1), (0.001, 1), (1.5, 150), (0.555, 56), (0.554, 55)]
)
def test_a_share_is_whole_percent_and_one_at_least(share: float, percent: int) -> None:
    assert policies.whole_percent(share) == percent
