"""The last stages of the chain: what people ordered, and what the namespace has room for.

A pause holds back what rules, forecast and clock want, never what somebody says outright: the
policy's bounds, quota and override come after it, and the later wins. All three look at no input,
so they act while inputs are unknown, at once, however fast the count may change otherwise.
"""

from datetime import datetime
from typing import TypeVar

from midstage.contracts.manual import Direction, Order, Override
from midstage.contracts.scaling import Stage
from midstage.hpa.decide.situation import Situation

AnOrder = TypeVar("AnOrder", bound=Order)


def in_force(order: AnOrder | None, now: datetime) -> AnOrder | None:
    """The order, where it holds at ``now``."""
    return order if order is not None and now < order.until else None


def pause(situation: Situation, before: int) -> Stage:
    """The count that is, where it is not to be changed that way."""
    order, current = situation.pause, situation.current
    other = Direction.DOWN if before > current else Direction.UP
    if order is None or before == current or order.direction is other:
        return Stage(name="pause", replicas=before)
    way = "raised" if before > current else "lowered"
    return Stage(name="pause", replicas=current, reason=f"not {way}: paused{told(order)}")


def quota(situation: Situation, before: int) -> Stage:
    """No more than there is room for; a quota takes nothing away that runs."""
    found = situation.quota
    if found is None or before <= found.replicas:
        return Stage(name="quota", replicas=before)
    figure = max(found.replicas, min(before, situation.current))
    reason = "" if figure == before else f"not above {figure}: {found.reason}"
    return Stage(name="quota", replicas=figure, reason=reason)


def manual(situation: Situation, before: int) -> Stage:
    """Within the bounds that somebody ordered; the last word."""
    order = situation.override
    if order is None:
        return Stage(name="manual", replicas=before)
    figure = bounded(order, before)
    if figure == before:
        return Stage(name="manual", replicas=before)
    how = "exactly" if order.min == order.max else "at least" if figure > before else "at most"
    return Stage(name="manual", replicas=figure, reason=f"{how} {figure} ordered{told(order)}")


def bounded(order: Override, count: int) -> int:
    """``count`` within the bounds that were ordered."""
    least = count if order.min is None else max(count, order.min)
    return least if order.max is None else min(least, order.max)


def told(order: Order) -> str:
    """By whom, until when, and why, to stand behind what was ordered."""
    why = f" ({order.why})" if order.why else ""
    return f" by {order.by} until {order.until.isoformat(timespec='seconds')}{why}"
