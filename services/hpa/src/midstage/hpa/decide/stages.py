"""The chain from proposals to a count: small named stages, each testable alone.

Each takes the situation and the figure before it, and leaves its own figure and why. The same
stages judge the cases of ``conformance``. A count outside of its bounds goes to them first, as
HPA v2 does. What comes after the rate holds at once, and the later wins.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from midstage.contracts.scaling import Stage
from midstage.hpa.decide.hpav2.behavior import Condition, held, limited, stabilized
from midstage.hpa.decide.manual import manual, pause, quota
from midstage.hpa.decide.policies import LEGACY_DOWN_S
from midstage.hpa.decide.situation import Situation

Step = Callable[[Situation, int], Stage]


def largest(situation: Situation, before: int) -> Stage:
    """The largest want; without valid input nothing changes, without any rule the minimum is."""
    leading = situation.leading
    if not situation.proposals:
        return Stage(name="largest", replicas=situation.least, reason="nothing but the clock says")
    if leading is None or leading.want is None:
        return Stage(name="largest", replicas=before, reason="no rule has valid input")
    rule = str(leading.rule)  # an f-string asks an enum's member how to, in Python
    said = f"{rule} {leading.name}" if leading.name else rule
    return Stage(name="largest", replicas=leading.want, reason=f"{said}: {leading.reason}")


def unknown(situation: Situation, before: int) -> Stage:
    """While one rule does not know, the others may raise the count but not lower it.

    A fallback says otherwise: a static count is the want of those that do not know.
    """
    if situation.known:
        return Stage(name="unknown", replicas=before)
    fallback, names = situation.fallback, ", ".join(situation.missing)
    if fallback.static is not None:
        known = before if situation.leading is not None else 0
        figure = max(known, fallback.static)
        reason = f"{fallback.static} while {names} is not known"
        return Stage(name="unknown", replicas=figure, reason="" if figure == known else reason)
    least = max(situation.current, fallback.at_least or 0)
    if before >= least:
        return Stage(name="unknown", replicas=before)
    kept = "not lowered" if least == situation.current else f"not below {least}"
    return Stage(name="unknown", replicas=least, reason=f"{kept} while {names} is not known")


def pending(situation: Situation, before: int) -> Stage:
    """Replicas that start are capacity that comes; where none finds room no more are ordered."""
    current = situation.current
    if before < current and situation.not_lowered:
        reason = f"not lowered while {situation.not_lowered}"
        return Stage(name="pending", replicas=current, reason=reason)
    if before > current and situation.not_raised:
        reason = f"not raised while {situation.not_raised}"
        return Stage(name="pending", replicas=current, reason=reason)
    return Stage(name="pending", replicas=before)


def stabilise(situation: Situation, before: int) -> Stage:
    """Up no further than the least want of the up window, down than the largest of the down one."""
    behavior, earlier = situation.behavior, situation.past.recommendations
    if situation.undecided:  # HPA v2 leaves such a count alone
        return Stage(name="stabilise", replicas=before)
    if behavior is None:
        up_s, down_s = 0.0, LEGACY_DOWN_S
        figure = held(before, earlier=earlier, down_s=down_s)
    else:
        up_s, down_s = behavior.up.stabilization_s, behavior.down.stabilization_s
        figure = stabilized(
            before, current=situation.current, earlier=earlier, up_s=up_s, down_s=down_s
        )
    if figure == before:
        return Stage(name="stabilise", replicas=before)
    which, window, condition = (
        ("largest", down_s, "ScaleDownStabilized")
        if before < figure
        else ("least", up_s, "ScaleUpStabilized")
    )
    reason = f"{figure} by the {which} want of the last {window:g} s"
    return Stage(name="stabilise", replicas=figure, reason=reason, condition=condition)


def rate(situation: Situation, before: int) -> Stage:
    """No faster than the behavior lets, and within the bounds."""
    found = limited(
        before,
        current=situation.current,
        least=situation.least,
        most=situation.most,
        behavior=situation.behavior,
        ups=situation.past.ups,
        downs=situation.past.downs,
    )
    if found.replicas == before:
        return Stage(name="rate", replicas=before)
    return Stage(
        name="rate",
        replicas=found.replicas,
        reason=_LIMITED[found.condition].format(found.replicas),
        condition=str(found.condition),
    )


def forecast_floor(situation: Situation, before: int) -> Stage:
    """At least what the past says, while that would have helped lately; it never lowers."""
    floor = situation.forecast
    if floor is None:
        return Stage(name="forecast floor", replicas=before)
    if floor.replicas is None or before >= floor.replicas:
        return Stage(name="forecast floor", replicas=before, reason=floor.off)
    return Stage(name="forecast floor", replicas=floor.replicas, reason=floor.reason)


def timed_floor(situation: Situation, before: int) -> Stage:
    """At least the floor that holds by the clock, ready when its window begins."""
    floor = situation.timed.floor
    if floor is None or before >= floor.replicas:
        return Stage(name="timed floor", replicas=before)
    window = floor.window
    reason = f"{window.name} is at least {floor.replicas} from {window.begin.isoformat()} on"
    return Stage(name="timed floor", replicas=floor.replicas, reason=reason)


def timed_ceiling(situation: Situation, before: int) -> Stage:
    """At most the ceiling that holds by the clock."""
    ceiling = situation.timed.ceiling
    if ceiling is None or before <= ceiling.replicas:
        return Stage(name="timed ceiling", replicas=before)
    window = ceiling.window
    reason = f"{window.name} is at most {ceiling.replicas} until {window.end.isoformat()}"
    return Stage(name="timed ceiling", replicas=ceiling.replicas, reason=reason)


def bounds(situation: Situation, before: int) -> Stage:
    """Within the policy's minimum and maximum, whatever the stages before said."""
    figure = min(max(before, situation.least), situation.most)
    if figure == before:
        return Stage(name="bounds", replicas=before)
    bound, condition = (
        ("minimum", Condition.TOO_FEW) if figure > before else ("maximum", Condition.TOO_MANY)
    )
    return Stage(
        name="bounds",
        replicas=figure,
        reason=f"the {bound} is {figure}",
        condition=condition.value,
    )


WANT: Final[tuple[Step, ...]] = (largest, unknown, pending)
"""Up to here the figure is what the load wants; later evaluations stabilise by it."""
LIMIT: Final[tuple[Step, ...]] = (stabilise, rate)
BOUND: Final[tuple[Step, ...]] = (
    *(forecast_floor, timed_floor, timed_ceiling),
    *(pause, bounds, quota, manual),
)
_RULES: Final = (*WANT, *LIMIT)
_KEPT: Final = 4096
_LIMITED: Final = {
    Condition.UP_LIMIT: "at most {} by the rate",
    Condition.DOWN_LIMIT: "at least {} by the rate",
    Condition.TOO_MANY: "the maximum is {}",
    Condition.TOO_FEW: "the minimum is {}",
    Condition.WITHIN: "",
}


def chain(situation: Situation) -> Sequence[Stage]:
    """Each stage's figure, in order; the last one is the count.

    While an override holds a count outside of the bounds the rules are still asked, so that there
    is a past to stabilise on when it is lifted.
    """
    overridden = situation.override is not None
    within = overridden or situation.least <= situation.current <= situation.most
    stages: list[Stage] = []
    figure = situation.current
    for step in _RULES if within else ():
        stage = step(situation, figure)
        stages.append(stage)
        figure = stage.replicas
    if situation.unbound and situation.least <= figure <= situation.most:
        stages += _unbound(figure)
        return stages
    for step in BOUND:
        stage = step(situation, figure)
        stages.append(stage)
        figure = stage.replicas
    return stages


@lru_cache(maxsize=_KEPT)
def _unbound(figure: int) -> Sequence[Stage]:
    """What the bounds leave of a count within them, where nobody and no clock says anything."""
    free = Situation(current=figure, least=figure, most=figure)
    return tuple([step(free, figure) for step in BOUND])
