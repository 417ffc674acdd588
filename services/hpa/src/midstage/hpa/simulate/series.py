"""A series of load in steps of 15 s, from the CSV files that people have.

Two columns with a header: a time (seconds since 1970, or ISO 8601, UTC where no zone is said) and
a value. Each value holds until the next one, for ``GAP_S`` at most: what was not measured is NaN,
and a step of which nothing is known is neither asked about nor counted.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from midstage.contracts.errors import UnreadableError
from midstage.hpa.decide.forecast.seasons import Column

STEP_S: Final = 15
GAP_S: Final = 900.0
MOST_STEPS: Final = 20_000_000
_PERCENTILE: Final = 0.999
_FULL: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One value each ``STEP_S`` from ``begun`` on; NaN is unknown."""

    begun: datetime
    values: Column

    @property
    def days(self) -> float:
        """Its length."""
        return len(self.values) * STEP_S / 86_400

    @property
    def each(self) -> float:
        """What each of 100 replicas carries that carry the 99.9th percentile together."""
        known = self.values[~np.isnan(self.values)]
        return float(np.quantile(known, _PERCENTILE)) / _FULL

    def normalised(self) -> "Series":
        """Scaled so that its 99.9th percentile is what 100 replicas carry that carry 1 each."""
        each = self.each
        return Series(begun=self.begun, values=self.values / each) if each > 0 else self


def read(lines: Iterable[str]) -> Series:
    """The series of a CSV file; UnreadableError names the line that is none."""
    return of(_samples(lines))


def of(samples: Iterable[tuple[float, float]]) -> Series:
    """The series of samples: seconds since 1970 and value, in any order; UnreadableError."""
    rows = np.array(sorted(samples), dtype=np.float64).reshape(-1, 2)
    if len(rows) < 2:
        raise UnreadableError("a series needs two samples at least")
    begin, end = float(rows[0, 0]), float(rows[-1, 0])
    length = int((end - begin) // STEP_S) + 1
    if length > MOST_STEPS:
        raise UnreadableError(f"{length:,} steps of {STEP_S} s are more than {MOST_STEPS:,}")
    moments = begin + np.arange(length) * float(STEP_S)
    newest = np.searchsorted(rows[:, 0], moments, side="right") - 1
    values = rows[newest, 1]
    values[moments - rows[newest, 0] >= GAP_S] = np.nan
    return Series(begun=datetime.fromtimestamp(begin, UTC), values=values)


def _samples(lines: Iterable[str]) -> Iterator[tuple[float, float]]:
    rows = csv.reader(lines)
    next(rows, None)
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        try:
            at, value = _moment(row[0]), float(row[1])
        except (ValueError, IndexError) as e:
            words = f"line {number} has no time and value: {','.join(row)[:80]}"
            raise UnreadableError(words) from e
        if not (np.isfinite(at) and np.isfinite(value) and value >= 0):
            raise UnreadableError(f"line {number} has no load: {','.join(row)[:80]}")
        yield at, value


def _moment(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        at = datetime.fromisoformat(said)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
