"""What HPA v2 makes of a want: held by windows, limited by rates and by past changes, bounded.

Without a ``Behavior`` the rules of before it hold: one window for scaling down, and at most twice
the replicas, or four, at a time. Ages are seconds before now.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from midstage.contracts.autoscaling import By, Select

_T = TypeVar("_T")
LEAST_STEP: Final = 4
FACTOR: Final = 2


class Condition(StrEnum):
    """Why the count is what it is, in HPA v2's words."""

    WITHIN = "DesiredWithinRange"
    TOO_FEW = "TooFewReplicas"
    TOO_MANY = "TooManyReplicas"
    UP_LIMIT = "ScaleUpLimit"
    DOWN_LIMIT = "ScaleDownLimit"


_WITHIN, _TOO_FEW, _TOO_MANY = Condition.WITHIN, Condition.TOO_FEW, Condition.TOO_MANY
_UP_LIMIT, _DOWN_LIMIT = Condition.UP_LIMIT, Condition.DOWN_LIMIT
_MIN, _DISABLED, _PERCENT = Select.MIN, Select.DISABLED, By.PERCENT
"""By names of this module: to look a member of an enum up takes as long as to compare with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most so many pods, or percent of the replicas, in so many seconds."""

    by: By
    value: float
    period_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One direction's rules."""

    rates: Sequence[Rate]
    select: Select = Select.MAX
    stabilization_s: float = 0.0

    @property
    def longest_s(self) -> float:
        """How far back changes matter."""
        return max((rate.period_s for rate in self.rates), default=0.0)


DEFAULT_UP: Final = Rules(
    rates=(Rate(by=By.PODS, value=4, period_s=15), Rate(by=By.PERCENT, value=100, period_s=15))
)
DEFAULT_DOWN: Final = Rules(
    rates=(Rate(by=By.PERCENT, value=100, period_s=15),), stabilization_s=300.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Both directions' rules."""

    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of the count by ``change`` (a positive number in both directions)."""

    change: int
    age_s: float
    outdated: bool = False


class Recommendation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An earlier want."""

    replicas: int
    age_s: float


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What was wanted, and how the count changed by direction."""

    recommendations: Sequence[Recommendation] = ()
    ups: Sequence[Change] = ()
    downs: Sequence[Change] = ()


class Limited(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The count, and why it is that."""

    replicas: int
    condition: Condition


def stabilized(
    wanted: int,
    *,
    current: int,
    earlier: Sequence[Recommendation],
    up_s: float,
    down_s: float,
) -> int:
    """Up no further than the least want of its window, down than the largest of its own."""
    least = largest = wanted
    for each in earlier:
        if each.age_s < up_s:
            least = min(least, each.replicas)
        if each.age_s < down_s:
            largest = max(largest, each.replicas)
    return min(max(current, least), largest)


def held(wanted: int, *, earlier: Sequence[Recommendation], down_s: float) -> int:
    """The largest want of the window: the rule without a ``Behavior``."""
    return max([wanted, *(each.replicas for each in earlier if each.age_s <= down_s)])


def remembered(
    wanted: int, earlier: Sequence[Recommendation], *, longest_s: float
) -> Sequence[Recommendation]:
    """The wants with this one; it takes the place of the last one that is too old to matter."""
    one = Recommendation(replicas=wanted, age_s=0.0)
    return _put(earlier, one, [each.age_s > longest_s for each in earlier])


def happened(change: int, past: Sequence[Change], *, longest_s: float) -> Sequence[Change]:
    """The changes with this one; it takes the place of the last one that is outdated."""
    marked = [
        Change(
            change=each.change,
            age_s=each.age_s,
            outdated=each.outdated or each.age_s > longest_s,
        )
        for each in past
    ]
    one = Change(change=change, age_s=0.0)
    return _put(marked, one, [each.outdated for each in marked])


def changed_within(period_s: float, past: Sequence[Change]) -> int:
    """By how much the count changed in the last ``period_s``."""
    return sum([each.change for each in past if each.age_s < period_s])


def limited(
    wanted: int,
    *,
    current: int,
    least: int,
    most: int,
    behavior: Behavior | None,
    ups: Sequence[Change] = (),
    downs: Sequence[Change] = (),
) -> Limited:
    """No faster than the rules, within the bounds."""
    if behavior is None:
        return _limited_before_behavior(wanted, current=current, least=least, most=most)
    if wanted > current:
        limit = max(current, _highest(behavior.up, current, ups, downs))
        return _at_most(wanted, limit=limit, most=most)
    if wanted < current:
        limit = min(current, _lowest(behavior.down, current, ups, downs))
        bound = max(least, limit)
        condition = _DOWN_LIMIT if limit > least else _TOO_FEW
        if wanted < bound:
            return Limited(replicas=bound, condition=condition)
    return Limited(replicas=wanted, condition=_WITHIN)


def _limited_before_behavior(wanted: int, *, current: int, least: int, most: int) -> Limited:
    if wanted < least:
        return Limited(replicas=least, condition=_TOO_FEW)
    return _at_most(wanted, limit=max(FACTOR * current, LEAST_STEP), most=most)


def _at_most(wanted: int, *, limit: int, most: int) -> Limited:
    condition = _UP_LIMIT if limit < most else _TOO_MANY
    if wanted > min(most, limit):
        return Limited(replicas=min(most, limit), condition=condition)
    return Limited(replicas=wanted, condition=_WITHIN)


def _highest(rules: Rules, current: int, ups: Sequence[Change], downs: Sequence[Change]) -> int:
    if rules.select is _DISABLED:
        return current
    limits = []
    for rate in rules.rates:
        start = _at_start(rate, current, ups, downs)
        if rate.by is _PERCENT:
            limits.append(math.ceil(start * (1 + rate.value / 100)))
        else:
            limits.append(start + int(rate.value))
    return (min if rules.select is _MIN else max)(limits, default=current)


def _lowest(rules: Rules, current: int, ups: Sequence[Change], downs: Sequence[Change]) -> int:
    if rules.select is _DISABLED:
        return current
    limits = []
    for rate in rules.rates:
        start = _at_start(rate, current, ups, downs)
        if rate.by is _PERCENT:
            limits.append(math.trunc(start * (1 - rate.value / 100)))
        else:
            limits.append(start - int(rate.value))
    return (max if rules.select is _MIN else min)(limits, default=current)


def _at_start(rate: Rate, current: int, ups: Sequence[Change], downs: Sequence[Change]) -> int:
    """The count at the beginning of the period, which changes since have used up in part."""
    if not ups and not downs:
        return current
    period_s = rate.period_s
    return current - changed_within(period_s, ups) + changed_within(period_s, downs)


def _put(held: Sequence[_T], one: _T, old: Sequence[bool]) -> Sequence[_T]:
    places = [place for place, is_old in enumerate(old) if is_old]
    if not places:
        return [*held, one]
    return [*held[: places[-1]], one, *held[places[-1] + 1 :]]
