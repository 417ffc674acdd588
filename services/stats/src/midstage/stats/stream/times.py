"""Times as edges write them, ``2026-01-01T12:00:00.000200Z``, read in whole columns.

What is a time in another form is brought into this one first; what is none is said to be none.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import numpy as np

from midstage.stats.model import Flags, Longs

_FORM = "0000-00-00T00:00:00.000000Z"
_LENGTH = len(_FORM)
_NEVER = "-" * _LENGTH
_MARKS = np.array([at for at, mark in enumerate(_FORM) if mark != "0"])
_MARKED = np.frombuffer(_FORM.encode(), np.uint8)[_MARKS]
_DIGITS = np.array([at for at, mark in enumerate(_FORM) if mark == "0"])
_MONTHS_TO_1970 = 1970 * 12
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


def instants(texts: Sequence[str]) -> tuple[Longs, Flags]:
    """Microseconds since 1970 of each, and which of them are times."""
    if set(map(len, texts)) != {_LENGTH}:
        texts = [text if len(text) == _LENGTH else _in_form(text) for text in texts]
    joined = "".join(texts)
    if not joined.isascii():
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    characters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, _LENGTH)
    digits = characters.T[_DIGITS] - np.uint8(ord("0"))
    sound = (characters[:, _MARKS] == _MARKED).all(axis=1) & (digits <= 9).all(axis=0)
    digits[:, ~sound] = 0
    return _counted(digits.astype(np.int64), sound)


def _counted(digits: Longs, sound: Flags) -> tuple[Longs, Flags]:
    year, month, day = _number(digits[:4]), _number(digits[4:6]), _number(digits[6:8])
    hour, minute, second = _number(digits[8:10]), _number(digits[10:12]), _number(digits[12:14])
    months = year * 12 + month - 1 - _MONTHS_TO_1970
    first, after = _days(months), _days(months + 1)
    sound = sound & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= after - first)
    sound &= (hour <= 23) & (minute <= 59) & (second <= 59)
    seconds = (((first + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000_000 + _number(digits[14:]), sound


def _number(digits: Longs) -> Longs:
    number: Longs = digits[0]
    for digit in digits[1:]:
        number = number * 10 + digit
    return number


def _days(months: Longs) -> Longs:
    """The days from 1970 to the first of these months."""
    days: Longs = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return days


def _in_form(text: str) -> str:
    try:
        time = msgspec.convert(text, _Time).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return _NEVER
    return f"{time.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
