"""Exact enough arithmetic: what is no figure is unknown, float noise orders no replica."""

import math
from datetime import datetime
from typing import Final

MOST_REPLICAS: Final = 1_000_000
"""No rule wants more; bounds are far below."""
_MOST: Final = float(MOST_REPLICAS)
_DECIMALS: Final = 9


def known(value: float | None) -> float | None:
    """``value`` where it can be a measurement: finite and not negative."""
    return value if value is not None and 0 <= value < math.inf else None


def needed(carried: float, each: float) -> float:
    """So many replicas, exactly, carry ``carried`` at ``each``; 1,000,000 at most."""
    if carried <= 0:
        return 0.0
    exact = carried / each if each > 0 else _MOST
    return exact if exact < _MOST else _MOST


def up(exact: float) -> int:
    """Rounded up, but 3.0000000001 is 3."""
    return math.ceil(round(exact, _DECIMALS))


def down(exact: float) -> int:
    """Rounded down, but 2.9999999999 is 3."""
    return math.floor(round(exact, _DECIMALS))


def age_s(at: datetime, now: datetime) -> float:
    """Seconds from ``at`` to ``now``; a time ahead of ours is new, not negative."""
    age = (now - at).total_seconds()
    return age if age > 0 else 0.0


def shown(value: float) -> str:
    """A figure as a reason says it: three digits behind the point at most."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
