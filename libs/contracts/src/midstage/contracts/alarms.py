"""What is wrong with an application's scaling, said once when it begins and once when it ends.

``midstage.alarms.v1`` is a versioned log, keyed by application, written by hpa alone: so several
processes and restarts raise an alarm once, and whoever reads it knows which ones stand.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from midstage.contracts.fact import Name


class Alarm(StrEnum):
    """What can be wrong."""

    FLAPPING = "flapping"
    AT_MAXIMUM = "at maximum"
    INPUT_UNKNOWN = "input unknown"
    FORECAST_OFF = "forecast switched off"


class AlarmRaised(msgspec.Struct, frozen=True, kw_only=True, tag="AlarmRaised", tag_field="fact"):
    """It has been so since ``since``, which is too long; told ``at``."""

    app: Name
    alarm: Alarm
    since: datetime
    at: datetime
    reason: str


class AlarmCleared(msgspec.Struct, frozen=True, kw_only=True, tag="AlarmCleared", tag_field="fact"):
    """It is so no more."""

    app: Name
    alarm: Alarm
    at: datetime
    reason: str = ""


AlarmFact = AlarmRaised | AlarmCleared
