"""Parts and the state of the whole as they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from midstage.data.model import Part, Staged


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsAnswer:
    """Every part that is there, in the order of hours and numbers."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAnswer:
    """How data stands: records of the log not yet kept (None: not known), rows, hours, parts."""

    lag_records: int | None
    rows: int
    staged_rows: int
    oldest_hour: datetime | None
    newest_hour: datetime | None
    parts: int
    part_bytes: int


def status(
    parts: Sequence[Part], staged: Sequence[Staged], *, lag_records: int | None
) -> StatusAnswer:
    """The status as it is shown."""
    outside = sum(one.rows for one in staged)
    hours = [part.hour for part in parts] + [one.hour for one in staged]
    return StatusAnswer(
        lag_records=lag_records,
        rows=outside + sum(part.rows for part in parts),
        staged_rows=outside,
        oldest_hour=min(hours, default=None),
        newest_hour=max(hours, default=None),
        parts=len(parts),
        part_bytes=sum(part.bytes for part in parts),
    )
