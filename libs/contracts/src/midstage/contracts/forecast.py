"""A floor from the past of the load: what a policy says of it, and what an evaluation used of it.

Parts of ``policy.Policy`` and ``scaling.Inputs``.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec


class Season(StrEnum):
    """After what time the load is expected to come again."""

    DAY = "day"
    WEEK = "week"


class Forecast(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """At least what the load of the same time of earlier seasons needed, as long as that helps.

    ``season``: the same time of the last seven days, or of the last two weeks. ``margin``: times
    what was carried then. ``lead_s``: so long before it is needed, besides the cold start.
    ``hold_s``: so long after it.
    """

    season: Season = Season.DAY
    margin: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0
    lead_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 300.0
    hold_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 1800.0


class ForecastInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the past says of now, and whether that would have helped lately.

    ``carried``: the expected load, in the unit of the policy's first target by totals; None where
    the past is not known. ``until``: the end of the newest time that was looked at. ``tested_s``:
    so much time was tested. ``lost_without``, ``lost_with``: the share of the load above what was
    there, at equal money. ``off``: why the floor does not hold; empty where it does.
    """

    carried: float | None = None
    until: datetime | None = None
    tested_s: float = 0.0
    lost_without: float = 0.0
    lost_with: float = 0.0
    off: str = ""
