"""The floor in replicas, by what an evaluation was given of the past."""

import msgspec

from midstage.contracts.policy import Measure, Policy
from midstage.contracts.scaling import Inputs
from midstage.hpa.decide.figures import known, needed, shown, up


class Floor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """At least ``replicas``, and the reason; None: it does not hold, ``off`` says why."""

    replicas: int | None = None
    reason: str = ""
    off: str = ""


def floor(inputs: Inputs) -> Floor | None:
    """The floor that holds; None where the policy has no forecast."""
    said, found = inputs.policy.forecast, inputs.forecast
    target = target_of(inputs.policy)
    if said is None or target is None:
        return None
    if found is None:
        return Floor(off="the forecast is off: nothing is known of the past")
    if found.off:
        return Floor(off=f"the forecast is off: {found.off}")
    expected = known(found.carried)
    if expected is None:
        return Floor(off="the forecast is off: this time of earlier seasons is not known")
    figure = up(needed(expected * said.margin, target))
    words = f"{shown(expected)} is expected by the {said.season}"
    return Floor(replicas=figure, reason=f"{words}, {shown(target)} each")


def target_of(policy: Policy) -> float | None:
    """What each replica should carry of what the forecast looks at; None: there is no total."""
    targets = policy.targets
    return targets.concurrency if targets.requests_per_s is None else targets.requests_per_s


def measure_of(policy: Policy) -> Measure | None:
    """What the forecast looks at; None: there is no total, or the policy has no forecast."""
    if policy.forecast is None or target_of(policy) is None:
        return None
    return Measure.CONCURRENCY if policy.targets.requests_per_s is None else Measure.RPS
