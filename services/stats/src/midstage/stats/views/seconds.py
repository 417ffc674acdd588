"""Requests added up by application and second of event time, in whole columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from midstage.contracts import sketch
from midstage.contracts.sketch import Sketch
from midstage.contracts.units import total
from midstage.stats.model import Flags, Ints, Longs, Rows
from midstage.stats.model.groups import grouped, totals
from midstage.stats.views.sketches import sketches

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000

Key = tuple[str, datetime]
"""An application and the second's begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The requests of one application that ended within one second; sketches in parts."""

    requests: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    latency_ms: tuple[Sketch, ...] = ()
    ttft_ms: tuple[Sketch, ...] = ()

    def with_more(self, more: "Second") -> "Second":
        """With the requests of another part."""
        return Second(
            requests=self.requests + more.requests,
            outcomes=dict(total((self.outcomes, more.outcomes))),
            units=total((self.units, more.units)),
            latency_ms=_merged(self.latency_ms + more.latency_ms),
            ttft_ms=_merged(self.ttft_ms + more.ttft_ms),
        )


_MOST_PARTS = 16


def near(rows: Rows, *, now: datetime, within: timedelta) -> Flags:
    """Which rows are requests that ended within this time around ``now``."""
    inside = np.abs(rows.time - (now - EPOCH) // MICROSECOND) <= within // MICROSECOND
    said = np.array([word != "" for word in rows.outcome.words], np.bool_)
    flags: Flags = inside & said[rows.outcome.codes]
    return flags


def seconds(rows: Rows, which: Flags) -> dict[Key, Second]:
    """What the flagged rows add to each second: all their units, billed or not."""
    at = np.flatnonzero(which)
    if not len(at):
        return {}
    begins = rows.time[at] // _SECOND_US
    spread = int(begins.max() - begins.min()) + 1
    keys = rows.app.codes[at].astype(np.int64) * spread + (begins - begins.min())
    groups, stands = grouped(keys)
    count = len(stands)
    latency = sketches(groups, rows.duration_ms[at], count=count)
    ttft = sketches(groups, rows.ttft_ms[at], count=count)
    outcomes = _tallies(groups, rows.outcome.codes[at], rows.outcome.words, count=count)
    units = _units(rows, at, groups, count=count)
    requests = np.bincount(groups, minlength=count).tolist()
    return {
        (rows.app[int(at[one])], EPOCH + int(begins[one]) * timedelta(seconds=1)): Second(
            requests=requests[group],
            outcomes=outcomes[group],
            units=units[group],
            latency_ms=_some(latency[group]),
            ttft_ms=_some(ttft[group]),
        )
        for group, one in enumerate(stands.tolist())
    }


def _tallies(
    groups: Longs, codes: Ints, words: Sequence[str], *, count: int
) -> list[dict[str, int]]:
    table = np.bincount(groups * len(words) + codes, minlength=count * len(words))
    return [
        {word: n for word, n in zip(words, line, strict=True) if n}
        for line in table.reshape(count, len(words)).tolist()
    ]


def _units(rows: Rows, at: Longs, groups: Longs, *, count: int) -> list[dict[str, int]]:
    """Exact also beyond 64 bits."""
    found: list[dict[str, int]] = [{} for _ in range(count)]
    group_of = np.full(len(rows), -1, np.int64)
    group_of[at] = groups
    owners = group_of[rows.usage.rows]
    inside = np.flatnonzero(owners >= 0)
    if not len(inside):
        return found
    names = rows.usage.names
    keys = owners[inside] * len(names.words) + names.codes[inside]
    parts, stands = grouped(keys)
    amounts = totals(parts, rows.usage.micros[inside], count=len(stands))
    for key, amount in zip(keys[stands].tolist(), amounts.tolist(), strict=True):
        group, name = divmod(key, len(names.words))
        found[group][names.words[name]] = amount
    return found


def _some(one: Sketch) -> tuple[Sketch, ...]:
    return () if one == sketch.EMPTY else (one,)


def _merged(parts: tuple[Sketch, ...]) -> tuple[Sketch, ...]:
    """Merged now and then: once a second, not at each commit."""
    return parts if len(parts) <= _MOST_PARTS else (sketch.merged(*parts),)
