"""The compact past of an application's load, which its forecast goes by: the peaks of each day.

Written by hpa to ``midstage.peaks.v1``, keyed by application, measure and day; read by hpa. A
record holds all that is known of its day, so the newest of each key is enough; readers keep of each
slot the larger of what records say, so duplicates and the order of arrival do not matter.
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from midstage.contracts.fact import Fact, Name
from midstage.contracts.policy import Measure

PEAKS_OBSERVED = "dev.midstage.peaks.observed.v1"
SLOT_S: Final = 300
SLOTS_A_DAY: Final = 86_400 // SLOT_S
_DAY_S: Final = 86_400


class PeaksObserved(Fact, frozen=True, kw_only=True):
    """The largest mean of a minute in each five minutes of a UTC day, as far as it is known.

    ``measure``: requests ended a second without refused ones, or requests in flight and pending;
    by all replicas together. ``day``: its midnight, UTC. ``peaks``: two bytes a slot from midnight
    on, the low one first: the upper bits of a 32-bit float without its sign, rounded up by 0.4 % at
    most, or 65535: unknown. Slots that are left out at the end are unknown.
    """

    app: Name
    measure: Measure
    day: datetime
    peaks: Annotated[bytes, msgspec.Meta(max_length=2 * SLOTS_A_DAY)]


def key_of(app: str, measure: Measure, day: datetime) -> str:
    """The key under which the record of a day stands."""
    return f"{app}/{measure.value}/{day.date().isoformat()}"


def day_of(fact: PeaksObserved) -> int | None:
    """The number of its day since 1970; None: it does not begin at midnight."""
    number, rest = divmod(int(fact.day.timestamp()), _DAY_S)
    return None if rest or fact.day.microsecond else number


def of_key(key: str) -> tuple[str, str]:
    """The application and the ISO date that a key is of; both empty where it is no such key."""
    rest, _, day = key.rpartition("/")
    return rest.rpartition("/")[0], day if rest else ""
