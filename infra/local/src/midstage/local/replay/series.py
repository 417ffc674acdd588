"""What the callers offered and had in flight, second by second, from their own list: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from midstage.local.replay.listing import CallerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One value for each second since ``begun``, the start of the first request.

    ``offered``: requests sent in that second. ``in_flight``: sent and not ended at its end.
    """

    begun: datetime
    offered: tuple[int, ...]
    in_flight: tuple[int, ...]


def series(rows: Sequence[CallerRow]) -> Series | None:
    """The series of all ``rows``; None where nothing was sent."""
    if not rows:
        return None
    starts = [started(row) for row in rows]
    begun = min(starts)
    length = 1 + max(_second(row.ended_at, begun) for row in rows)
    offered, ended = [0] * length, [0] * length
    for row, start in zip(rows, starts, strict=True):
        offered[_second(start, begun)] += 1
        ended[_second(row.ended_at, begun)] += 1
    changed = (more - less for more, less in zip(offered, ended, strict=True))
    return Series(begun=begun, offered=tuple(offered), in_flight=tuple(accumulate(changed)))


def started(row: CallerRow) -> datetime:
    """When the request was sent."""
    return row.ended_at - timedelta(milliseconds=row.duration_ms)


def _second(moment: datetime, begun: datetime) -> int:
    return int((moment - begun).total_seconds())
