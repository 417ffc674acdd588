"""Which alarms are raised and cleared: what lasts too long is told once, and once that it is over.

An alarm that stands is cleared when what it tells of is known to be over, not because it is not
known how long it has been so: a restart clears nothing.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never

from midstage.contracts.alarms import Alarm, AlarmCleared, AlarmFact, AlarmRaised
from midstage.contracts.scaling import Changed
from midstage.hpa.model import Alarms, Suspect

UNKNOWN_FOR: Final = timedelta(minutes=5)
MAXIMUM_FOR: Final = timedelta(minutes=15)
FLAPS: Final = 4
FLAPS_WITHIN: Final = timedelta(minutes=30)
"""So many reversals within that time: a count that goes up and down and up again."""
CALM: Final = 1
"""With no more than that it is over."""
_FOR: Final = {Alarm.INPUT_UNKNOWN: UNKNOWN_FOR, Alarm.AT_MAXIMUM: MAXIMUM_FOR}


def decide(held: Alarms, app: str, suspects: Sequence[Suspect], now: datetime) -> list[AlarmFact]:
    """What is to be told: of ``suspects``, all kinds that are known about now."""
    return [fact for each in suspects for fact in _told(held, app, each, now)]


def ended(held: Alarms, app: str, now: datetime, reason: str) -> list[AlarmFact]:
    """All that stand are over: the application scales no more."""
    return [AlarmCleared(app=app, alarm=each, at=now, reason=reason) for each in held.raised]


def evolve(held: Alarms, fact: AlarmFact) -> Alarms:
    """The alarms that stand after ``fact``."""
    others = {alarm: each for alarm, each in held.raised.items() if alarm is not fact.alarm}
    match fact:
        case AlarmRaised():
            return Alarms(raised={**others, fact.alarm: fact})
        case AlarmCleared():
            return Alarms(raised=others)
        case _:
            assert_never(fact)


def flapping(changes: Sequence[Changed], now: datetime) -> tuple[int, datetime | None]:
    """Reversals within the time, and when the first of them was; the first count turns nothing."""
    turns = [
        later.at
        for earlier, later in itertools.pairwise(changes)
        if earlier.before > 0
        and (later.after > later.before) != (earlier.after > earlier.before)
        and later.at > now - FLAPS_WITHIN
    ]
    return len(turns), turns[0] if turns else None


def suspected(changes: Sequence[Changed], now: datetime) -> Suspect | None:
    """Flapping, begun or over; None in between, where what stands stays."""
    count, first = flapping(changes, now)
    minutes = FLAPS_WITHIN // timedelta(minutes=1)
    reason = f"{count} reversals within {minutes} minutes"
    if count >= FLAPS:
        return Suspect(alarm=Alarm.FLAPPING, since=first, reason=reason)
    return Suspect(alarm=Alarm.FLAPPING, since=None, reason=reason) if count <= CALM else None


def _told(held: Alarms, app: str, suspect: Suspect, now: datetime) -> Iterator[AlarmFact]:
    stands = suspect.alarm in held.raised
    since = suspect.since
    if since is None:
        if stands:
            yield AlarmCleared(app=app, alarm=suspect.alarm, at=now, reason=suspect.reason)
    elif not stands and now - since >= _FOR.get(suspect.alarm, timedelta()):
        yield AlarmRaised(app=app, alarm=suspect.alarm, since=since, at=now, reason=suspect.reason)
