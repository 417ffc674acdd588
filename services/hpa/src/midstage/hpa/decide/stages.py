"""The chain from proposals to a count: small named stages, each testable alone.

Each takes the situation and the figure before it, and leaves its own figure and why. The order is
that of HPA v2: largest, coming capacity, tolerance, stabilisation, rate, bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from midstage.contracts.policy import Rate
from midstage.contracts.scaling import Changed, Inputs, Proposal, Stage
from midstage.hpa.decide.figures import down, shown, up
from midstage.hpa.decide.rules import cluster_unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the stages look at; ``current`` replicas are there or were ordered."""

    inputs: Inputs
    proposals: tuple[Proposal, ...]
    current: int

    @property
    def leading(self) -> Proposal | None:
        """The proposal that wants most; None: no rule had valid input."""
        valid = [each for each in self.proposals if each.exact is not None]
        return max(valid, key=lambda each: each.exact or 0.0, default=None)


Step = Callable[[Situation, int], Stage]


def begin(inputs: Inputs) -> Stage:
    """The count in force; before any decision that of the spec, within the bounds."""
    if inputs.current > 0:
        return Stage(name="current", replicas=inputs.current)
    count = _within(inputs, inputs.initial)
    return Stage(name="current", replicas=count, reason=f"none yet; the spec begins with {count}")


def begun_with(situation: Situation) -> int:
    """What stabilising holds at first: HPA v2 too takes the count that it finds as a first want.

    Of the first evaluation the count itself, of those after it the first count that was decided:
    its want may not have been read back yet.
    """
    inputs = situation.inputs
    window = timedelta(seconds=inputs.policy.stabilise_down_s)
    if inputs.current == 0:
        return situation.current if window else 0
    firsts = [change for change in inputs.changes if change.before == 0]
    return max((first.after for first in firsts if first.at > inputs.now - window), default=0)


def largest(situation: Situation, before: int) -> Stage:
    """The largest want; without valid input nothing changes."""
    leading = situation.leading
    if leading is None or leading.want is None:
        return Stage(name="largest", replicas=before, reason="no rule has valid input")
    return Stage(
        name="largest", replicas=leading.want, reason=f"{leading.rule.value}: {leading.reason}"
    )


def unknown(situation: Situation, before: int) -> Stage:
    """While one rule does not know, the others may raise the count but not lower it."""
    missing = [each.rule.value for each in situation.proposals if each.want is None]
    if before >= situation.current or not missing:
        return Stage(name="unknown", replicas=before)
    return Stage(
        name="unknown",
        replicas=situation.current,
        reason=f"not lowered while {', '.join(missing)} is not known",
    )


def starting(situation: Situation, before: int) -> Stage:
    """While replicas start, what the ready ones carry can't say that fewer are enough.

    Wants are totals, so those that start are counted and never ordered twice. But ready ones above
    their target are held back by their own number: HPA v2 holds here too, as the ratio would turn.
    """
    why = _starting(situation) if before < situation.current else ""
    return Stage(name="starting", replicas=situation.current if why else before, reason=why)


def tolerance(situation: Situation, before: int) -> Stage:
    """No change while what is carried is near what the current count should carry."""
    leading, current = situation.leading, situation.current
    if leading is None or leading.exact is None or before == current:
        return Stage(name="tolerance", replicas=before)
    off = abs(leading.exact / current - 1.0)
    allowed = situation.inputs.policy.tolerance
    if round(off - allowed, 9) > 0:
        return Stage(name="tolerance", replicas=before)
    reason = f"{shown(off * 100)} % off is within {shown(allowed * 100)} %"
    return Stage(name="tolerance", replicas=current, reason=reason)


def stabilise(situation: Situation, before: int) -> Stage:
    """Up no further than the least want of the up window, down than the largest of the down one."""
    policy, current = situation.inputs.policy, situation.current
    least = min([before, *_wants(situation, policy.stabilise_up_s)])
    earlier = _wants(situation, policy.stabilise_down_s)
    largest_want = max([before, begun_with(situation), *earlier])
    figure = min(max(current, least), largest_want)
    if figure == before:
        return Stage(name="stabilise", replicas=before)
    window = policy.stabilise_down_s if before < figure else policy.stabilise_up_s
    which = "largest" if before < figure else "least"
    reason = f"{figure} by the {which} want of the last {window:g} s"
    return Stage(name="stabilise", replicas=figure, reason=reason)


def rate(situation: Situation, before: int) -> Stage:
    """No faster than the policy lets: by pods or by percent, whichever lets more."""
    policy, current = situation.inputs.policy, situation.current
    if before > current:
        most = max(current, _highest(situation, policy.up))
        return _limited(before, min(before, most), f"at most {most} in {policy.up.period_s:g} s")
    if before < current:
        least = min(current, _lowest(situation, policy.down))
        fewest = f"at least {least} in {policy.down.period_s:g} s"
        return _limited(before, max(before, least), fewest)
    return Stage(name="rate", replicas=before)


def bounds(situation: Situation, before: int) -> Stage:
    """Within the policy's minimum and maximum, whatever the stages before said."""
    figure = _within(situation.inputs, before)
    if figure == before:
        return Stage(name="bounds", replicas=before)
    bound = "minimum" if figure > before else "maximum"
    return Stage(name="bounds", replicas=figure, reason=f"the {bound} is {figure}")


WANT: Final[tuple[Step, ...]] = (largest, unknown, starting, tolerance)
"""Up to here the figure is what the load wants; later evaluations stabilise by it."""
LIMIT: Final[tuple[Step, ...]] = (stabilise, rate, bounds)


def _within(inputs: Inputs, count: int) -> int:
    return min(max(count, inputs.policy.min), inputs.policy.max)


def _starting(situation: Situation) -> str:
    """Why the count may not be lowered yet; nothing where it may."""
    why = cluster_unknown(situation.inputs)
    if why is not None:
        return f"not lowered while {why}"
    valid = [each for each in situation.proposals if each.exact is not None]
    if not any(pod.ready for pod in situation.inputs.pods):
        carries = any(each.exact for each in valid)
        return "not lowered while none is ready and there is load" if carries else ""
    above = [
        each.rule.value for each in valid if each.ready_ratio and round(each.ready_ratio, 9) > 1
    ]
    return f"not lowered while the ready ones are above their {above[0]}" if above else ""


def _wants(situation: Situation, window_s: float) -> list[int]:
    since = situation.inputs.now - timedelta(seconds=window_s)
    return [want.replicas for want in situation.inputs.wants if want.at > since]


def _highest(situation: Situation, by: Rate) -> int:
    """HPA v2: from the count at the period's start, which earlier changes have used up in part."""
    start = _at_start(situation, by)
    return max(start + by.pods, up(start * (1 + by.percent / 100)))


def _lowest(situation: Situation, by: Rate) -> int:
    start = _at_start(situation, by)
    return max(0, min(start - by.pods, down(start * (1 - by.percent / 100))))


def _at_start(situation: Situation, by: Rate) -> int:
    since = situation.inputs.now - timedelta(seconds=by.period_s)
    changes = [change for change in situation.inputs.changes if change.before > 0]
    recent = [change for change in changes if change.at > since]
    return max(0, situation.current - sum(_by(change) for change in recent))


def _by(change: Changed) -> int:
    return change.after - change.before


def _limited(before: int, figure: int, reason: str) -> Stage:
    return Stage(name="rate", replicas=figure, reason="" if figure == before else reason)
