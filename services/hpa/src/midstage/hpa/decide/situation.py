"""What the stages look at: plain figures, whether they are of an application or of a case.

Ages are seconds before now. ``of`` takes them from the inputs of an evaluation.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from midstage.contracts.cluster import Phase
from midstage.contracts.manual import Override, Pause
from midstage.contracts.policy import Fallback
from midstage.contracts.scaling import Inputs, Proposal, Quota
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import age_s
from midstage.hpa.decide.forecast.floor import Floor, floor
from midstage.hpa.decide.hpav2.behavior import Behavior, Change, Past, Recommendation
from midstage.hpa.decide.timed import NO_BOUNDS, Bounds, bounds

CLUSTER_STALE_S: Final = 30.0
_CLUSTER_STALE: Final = timedelta(seconds=CLUSTER_STALE_S)
UNPLACED_S: Final = 60.0
"""A pod that has no node for so long finds no room: more of them would find none either."""
COLD_START_S: Final = 60.0
"""What is believed of a cold start while none was measured."""
_ON_THE_WAY_S: Final = 10.0
"""From the moment that a bound holds to its pods: the next evaluation, the log, the cluster."""
_SECOND: Final = timedelta(seconds=1)
_PENDING: Final = Phase.PENDING
_NO_FALLBACK: Final = Fallback()


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """``current`` replicas are there or were ordered; ``least`` to ``most`` are allowed.

    ``behavior`` None is HPA v2's of before there was one. ``not_lowered``, ``not_raised``: why the
    count must not be, whatever rules want; empty where it may.
    """

    current: int
    least: int
    most: int
    proposals: tuple[Proposal, ...] = ()
    behavior: Behavior | None = None
    past: Past = Past()
    fallback: Fallback = Fallback()
    not_lowered: str = ""
    not_raised: str = ""
    timed: Bounds = NO_BOUNDS
    pause: Pause | None = None
    quota: Quota | None = None
    override: Override | None = None
    forecast: Floor | None = None

    @property
    def leading(self) -> Proposal | None:
        """The proposal that wants most; None: no rule had valid input."""
        most: Proposal | None = None
        best = (0, 0.0)
        for each in self.proposals:
            if each.want is None:
                continue
            wanted = (each.want, each.exact or 0.0)
            if most is None or wanted > best:
                most, best = each, wanted
        return most

    @property
    def unbound(self) -> bool:
        """Whether nothing but the policy's minimum and maximum bounds the count."""
        return (
            self.forecast is None
            and self.timed is NO_BOUNDS
            and self.pause is None
            and self.quota is None
            and self.override is None
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """The rules without valid input."""
        unknown = [each.name or each.rule for each in self.proposals if each.want is None]
        return tuple(dict.fromkeys(unknown)) if unknown else ()

    @property
    def known(self) -> bool:
        """Whether all rules had valid input; it is asked more often than who had none."""
        return not [each for each in self.proposals if each.want is None]

    @property
    def undecided(self) -> bool:
        """Whether what is not known keeps the count from being lowered, or from any change."""
        if self.known or self.fallback.static is not None:
            return False
        return self.leading is None or (self.leading.want or 0) < self.current


def of(inputs: Inputs, current: int, proposals: tuple[Proposal, ...]) -> Situation:
    """The situation of an application that has, or begins with, ``current`` replicas."""
    policy = inputs.policy
    lead_s = COLD_START_S if inputs.cold_start_s is None else inputs.cold_start_s
    return Situation(
        current=current,
        least=policy.min,
        most=policy.max,
        proposals=proposals,
        behavior=policies.behavior(policy),
        past=_past(inputs, current),
        fallback=policy.fallback or _NO_FALLBACK,
        not_lowered=_not_lowered(inputs, proposals),
        not_raised=_not_raised(inputs),
        timed=bounds(policy.timed, inputs.now, lead_s=lead_s + _ON_THE_WAY_S),
        pause=inputs.pause,
        quota=inputs.quota,
        override=inputs.override,
        forecast=floor(inputs),
    )


def cluster_unknown(inputs: Inputs) -> str | None:
    """Why the pods are not known; None when they are."""
    if inputs.cluster_at is None:
        return "the cluster can't be asked"
    if inputs.now - inputs.cluster_at <= _CLUSTER_STALE:
        return None
    return f"the cluster was reached {age_s(inputs.cluster_at, inputs.now):.0f} s ago"


def _past(inputs: Inputs, current: int) -> Past:
    recommendations = _recommendations(inputs, current)
    if not inputs.changes:
        return Past(recommendations=recommendations)
    changes = [change for change in inputs.changes if change.before > 0]
    return Past(
        recommendations=recommendations,
        ups=[
            Change(change=change.after - change.before, age_s=_age(change.at, inputs))
            for change in changes
            if change.after > change.before
        ],
        downs=[
            Change(change=change.before - change.after, age_s=_age(change.at, inputs))
            for change in changes
            if change.after < change.before
        ],
    )


def _recommendations(inputs: Inputs, current: int) -> Sequence[Recommendation]:
    """Earlier wants; HPA v2 too takes the count that it finds as a first one.

    Of the first evaluation that is the count itself, of those after it the first count that was
    decided: its want may not have been read back yet.
    """
    found = [
        Recommendation(replicas=want.replicas, age_s=(inputs.now - want.at) / _SECOND)
        for want in inputs.wants
    ]
    if inputs.current == 0:
        found.append(Recommendation(replicas=current, age_s=0.0))
    for change in inputs.changes:
        if change.before == 0:
            found.append(Recommendation(replicas=change.after, age_s=_age(change.at, inputs)))
    return found


def _not_lowered(inputs: Inputs, proposals: tuple[Proposal, ...]) -> str:
    """While replicas start, what the ready ones carry can't say that fewer are enough.

    Of totals alone: they count those that start, so nothing is ordered twice, but ready ones above
    their target are held back by their own number. The rules of HPA v2 and KPA have their own say.
    """
    why = cluster_unknown(inputs)
    if why is not None:
        return why
    valid = [each for each in proposals if each.exact is not None]
    for pod in inputs.pods:
        if pod.ready:
            break
    else:
        return "none is ready and there is load" if any(each.carried for each in valid) else ""
    for each in valid:
        ratio = each.ready_ratio
        if ratio and ratio > 1 and round(ratio, 9) > 1:  # to round takes as long as all the rest
            return f"the ready ones are above their {each.name or str(each.rule)}"
    return ""


def _not_raised(inputs: Inputs) -> str:
    for pod in inputs.pods:
        if pod.phase is not _PENDING or pod.started_at is None:
            continue
        if age_s(pod.started_at, inputs.now) > UNPLACED_S:
            return f"{pod.name} finds no node"
    return ""


def _age(at: datetime, inputs: Inputs) -> float:
    return (inputs.now - at) / _SECOND
