"""A period as it is asked for: whole minutes of UTC, or a refusal that says what to write."""

from datetime import datetime
from typing import NamedTuple

from midstage.contracts.errors import RefusedError
from midstage.contracts.instants import instant


class Period(NamedTuple):
    """From ``since`` up to but without ``until``; None takes everything on that side."""

    since: datetime | None
    until: datetime | None


def period(*, since: str | None, until: str | None) -> Period:
    """The period that a caller means by ``from`` and ``to``; RefusedError says what it can't be."""
    begin = None if since is None else _minute("from", since)
    end = None if until is None else _minute("to", until)
    if begin is not None and end is not None and begin > end:
        raise RefusedError(f"from={since!r} is after to={until!r}")
    return Period(begin, end)


def _minute(name: str, text: str) -> datetime:
    exact = instant(name, text)
    if exact.second or exact.microsecond:
        raise RefusedError(f"{name}={text!r} is not at a whole minute; usage is kept by the minute")
    return exact
