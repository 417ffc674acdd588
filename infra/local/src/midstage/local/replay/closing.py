"""Asks the log and stats how the loop closed in a run; who can't be asked is said, not fatal."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import msgspec

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Log
from midstage.local.replay import circle as circles
from midstage.local.replay.circle import UNKNOWN, Availability, Circle
from midstage.local.replay.listing import CallerRow
from midstage.local.replay.series import started
from midstage.local.replay.told import Told, told

TRIES: Final = 3
_MINUTE: Final = timedelta(minutes=1)


class _Answer(msgspec.Struct):
    availability: tuple[Availability, ...]


def circle(mine: Sequence[CallerRow], *, app: str, log: Log | None, stats: httpx.Client) -> Circle:
    """The circle of ``app`` in the run with the list ``mine``; empty without a ``log``."""
    if log is None or not mine:
        return UNKNOWN
    notes: list[str] = []
    begun = min(started(row) for row in mine)
    ended = max(row.ended_at for row in mine)
    heard = _told(log, ended, notes)
    available = _available(stats, begun, ended, notes)
    return circles.circle(mine, app=app, told=heard, availability=available, notes=notes)


def _told(log: Log, until: datetime, notes: list[str]) -> Told | None:
    for tries_left in reversed(range(TRIES)):
        try:
            return told(log, until=until)
        except UnavailableError as e:
            if not tries_left:
                notes.append(f"decisions and replicas could not be read from the log: {e}")
    return None


def _available(
    stats: httpx.Client, begun: datetime, ended: datetime, notes: list[str]
) -> Sequence[Availability]:
    """Of the whole minutes that the run touched, since stats keeps it by the minute."""
    since = begun.astimezone(UTC).replace(second=0, microsecond=0)
    until = ended.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE
    period = {"from": since.isoformat(), "to": until.isoformat()}
    try:
        answer = stats.get("/v1/availability", params=period).raise_for_status()
        return msgspec.json.decode(answer.content, type=_Answer).availability
    except (httpx.HTTPError, msgspec.DecodeError) as e:
        notes.append(f"stats did not tell the availability: {type(e).__name__} {e}")
        return ()
