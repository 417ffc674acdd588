"""What hpa tells people of orders: what was ordered last, and whether it still holds."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.contracts.manual import Direction, Override, Pause
from midstage.hpa.decide.manual import in_force
from midstage.hpa.decide.scaling import ordered
from midstage.hpa.model import Scaler


class OrderAnswer(TypedDict):
    """An order; not ``in_force``: its end has passed, and it does nothing.

    ``order`` is override or pause, ``what`` it says in words. Of an override ``min`` and ``max``,
    the same where it is exact; of a pause its ``direction``.
    """

    app: str
    order: str
    what: str
    in_force: bool
    min: int | None
    max: int | None
    direction: str | None
    by: str
    why: str
    at: datetime
    until: datetime


def standing(scalers: Mapping[str, Scaler], app: str | None, now: datetime) -> list[OrderAnswer]:
    """The orders that hold, of one application or of all (None), by application."""
    return [
        each
        for name, scaler in sorted(scalers.items())
        if app in (None, name)
        for each in _of(name, scaler, now)
    ]


def override(app: str, order: Override, now: datetime) -> OrderAnswer:
    """An override at ``now``."""
    return {
        "app": app,
        "order": "override",
        "what": _bounds(order),
        "in_force": in_force(order, now) is not None,
        "min": order.min,
        "max": order.max,
        "direction": None,
        "by": order.by,
        "why": order.why,
        "at": order.at,
        "until": order.until,
    }


def pause(app: str, order: Pause, now: datetime) -> OrderAnswer:
    """A pause at ``now``."""
    return {
        "app": app,
        "order": "pause",
        "what": _HELD[order.direction],
        "in_force": in_force(order, now) is not None,
        "min": None,
        "max": None,
        "direction": order.direction.value,
        "by": order.by,
        "why": order.why,
        "at": order.at,
        "until": order.until,
    }


def _of(app: str, scaler: Scaler, now: datetime) -> Iterator[OrderAnswer]:
    manual = ordered(scaler, now)
    if manual.override is not None:
        yield override(app, manual.override, now)
    if manual.pause is not None:
        yield pause(app, manual.pause, now)


def _bounds(order: Override) -> str:
    match order.min, order.max:
        case None, most:
            return f"at most {most}"
        case least, None:
            return f"at least {least}"
        case least, most if least == most:
            return f"exactly {least}"
        case least, most:
            return f"{least} to {most}"


_HELD = {
    Direction.UP: "not raised",
    Direction.DOWN: "not lowered",
    Direction.BOTH: "neither raised nor lowered",
}
