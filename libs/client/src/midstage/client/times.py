"""Times on the command line: RFC 3339, or before now like ``-90s``, ``-30m``, ``-1h``, ``-7d``."""

import re
from datetime import UTC, datetime, timedelta

from midstage.contracts.errors import RefusedError

_BEFORE_NOW = re.compile(r"-([0-9]{1,9})([smhd])")
_AFTER_NOW = re.compile(r"\+?([0-9]{1,9})([smhd])")
_UNIT = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_MINUTE = timedelta(minutes=1)


def parsed(option: str, text: str, *, now: datetime) -> datetime:
    """The time that ``text`` means, in UTC; RefusedError names the option and what is wanted."""
    if text == "now":
        return now
    before = _BEFORE_NOW.fullmatch(text)
    try:
        if before:
            return now - int(before[1]) * _UNIT[before[2]]
        time = datetime.fromisoformat(text)
        exact = time.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise RefusedError(
            f"{option} {text!r} is neither a time like 2026-01-31T12:00:00Z nor one like -1h"
        ) from e
    if time.tzinfo is None:
        raise RefusedError(
            f"{option} {text!r} has no time zone; write it like {time.isoformat()}Z for UTC"
        )
    return exact


def later(option: str, text: str, *, now: datetime) -> datetime:
    """The time that ``text`` means, from now on like ``2h``; RefusedError as for ``parsed``."""
    ahead = _AFTER_NOW.fullmatch(text)
    if ahead is None:
        return parsed(option, text, now=now)
    try:
        return now + int(ahead[1]) * _UNIT[ahead[2]]
    except OverflowError as e:
        raise RefusedError(f"{option} {text!r} is further ahead than there are dates") from e


def from_minute(option: str, text: str, *, now: datetime) -> datetime:
    """Like ``parsed``; a time told relative to now goes down to its minute."""
    time = parsed(option, text, now=now)
    return _floor(time) if _relative(text) else time


def to_minute(option: str, text: str, *, now: datetime) -> datetime:
    """Like ``parsed``; a time told relative to now goes up, so that its minute is in."""
    time = parsed(option, text, now=now)
    return _floor(time + _MINUTE - timedelta(microseconds=1)) if _relative(text) else time


def rfc3339(time: datetime) -> str:
    """The time as a service takes it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _relative(text: str) -> bool:
    return text == "now" or _BEFORE_NOW.fullmatch(text) is not None


def _floor(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)
