"""What a team's policy means in terms of HPA v2 and KPA: the short form becomes the long one."""

from fractions import Fraction
from functools import lru_cache
from typing import Final

from midstage.contracts import autoscaling
from midstage.contracts.autoscaling import By, Select
from midstage.contracts.policy import Knative, Policy
from midstage.contracts.policy import Rate as ShortRate
from midstage.hpa.decide.hpav2.behavior import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Behavior,
    Rate,
    Rules,
)
from midstage.hpa.decide.hpav2.proposing import Tolerance
from midstage.hpa.decide.kpa import Spec

LEGACY_DOWN_S: Final = 300.0
"""The window of the rules of before ``Behavior``; a default of kube-controller-manager."""
_ANY: Final = (Rate(by=By.PODS, value=1e9, period_s=1.0),)
_UNLIMITED: Final = Behavior(up=Rules(rates=_ANY), down=Rules(rates=_ANY))
_UNSAID: Final = Policy(max=1)
_KEPT: Final = 4096
"""So many different terms are kept: an application has the same ones in each evaluation."""


def behavior(policy: Policy) -> Behavior | None:
    """How the count may change; None: as HPA v2 does where a manifest has no behavior."""
    if policy.behavior is not None:
        return _long(policy.behavior)
    if policy.knative is not None:
        return _UNLIMITED
    if policy.metrics and not shortened(policy):
        return None
    return _short(policy.up, policy.stabilise_up_s, policy.down, policy.stabilise_down_s)


def tolerance(policy: Policy) -> Tolerance:
    """How far off its target a rule changes nothing, by direction."""
    said = policy.behavior
    return _plain(policy.tolerance) if said is None else _tolerance(said, policy.tolerance)


def shortened(policy: Policy) -> bool:
    """Whether it says in the short form how the count may change."""
    return any(
        getattr(policy, name) != getattr(_UNSAID, name)
        for name in ("up", "down", "stabilise_up_s", "stabilise_down_s")
    )


def longest_s(policy: Policy) -> tuple[float, float]:
    """The windows of wants, up and down, that stabilising looks back to."""
    found = behavior(policy)
    if found is None:
        return 0.0, LEGACY_DOWN_S
    return found.up.stabilization_s, found.down.stabilization_s


def period_s(policy: Policy) -> float:
    """How far back changes of the count matter to its rates."""
    found = behavior(policy)
    return 0.0 if found is None else max(found.up.longest_s, found.down.longest_s)


def knative(said: Knative) -> Spec:
    """The rule in KPA's terms."""
    return Spec(
        target=said.target * said.utilization,
        total=said.target,
        panic_threshold=said.panic_threshold_percent / 100,
        most_up=said.max_scale_up_rate,
        most_down=said.max_scale_down_rate,
        stable_s=float(said.stable_window_s),
        delay_s=said.scale_down_delay_s,
        activation=said.activation_scale,
    )


def panic_window_s(said: Knative) -> int:
    """The whole seconds of the panic window; one at least."""
    return max(1, round(said.stable_window_s * said.panic_window_percent / 100))


@lru_cache(maxsize=_KEPT)
def whole_percent(share: float) -> int:
    """A share as HPA v2 takes it; 1 % at least."""
    return max(1, round(Fraction(share) * 100))


@lru_cache(maxsize=_KEPT)
def _long(said: autoscaling.Behavior) -> Behavior:
    return Behavior(
        up=_rules(said.scale_up, DEFAULT_UP), down=_rules(said.scale_down, DEFAULT_DOWN)
    )


@lru_cache(maxsize=_KEPT)
def _short(up: ShortRate, up_s: float, down: ShortRate, down_s: float) -> Behavior:
    return Behavior(up=_one_way(up, up_s), down=_one_way(down, down_s))


def _one_way(rate: ShortRate, stabilise_s: float) -> Rules:
    return Rules(
        rates=(
            Rate(by=By.PODS, value=rate.pods, period_s=rate.period_s),
            Rate(by=By.PERCENT, value=rate.percent, period_s=rate.period_s),
        ),
        select=Select.MAX,
        stabilization_s=stabilise_s,
    )


def _rules(said: autoscaling.ScalingRules | None, default: Rules) -> Rules:
    if said is None:
        return default
    rates = tuple(
        Rate(by=each.type, value=each.value, period_s=each.period_seconds) for each in said.policies
    )
    window = said.stabilization_window_seconds
    return Rules(
        rates=rates or default.rates,
        select=said.select_policy,
        stabilization_s=default.stabilization_s if window is None else window,
    )


@lru_cache(maxsize=_KEPT)
def _plain(share: float) -> Tolerance:
    return Tolerance(down=share, up=share)


@lru_cache(maxsize=_KEPT)
def _tolerance(said: autoscaling.Behavior, otherwise: float) -> Tolerance:
    return Tolerance(
        down=_tolerated(said.scale_down, otherwise), up=_tolerated(said.scale_up, otherwise)
    )


def _tolerated(said: autoscaling.ScalingRules | None, otherwise: float) -> float:
    if said is None or said.tolerance is None:
        return otherwise
    try:
        return float(autoscaling.exact(said.tolerance))
    except ValueError:
        return otherwise  # deploy refuses it; an older spec may still say it
