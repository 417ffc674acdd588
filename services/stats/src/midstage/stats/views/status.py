"""How stats stands: what is not counted yet, what is, and how fresh it came in.

Over all shards where each of them answered; what one that did not has is unknown, and so is the
whole. Freshness is within 1 %, since shards are added up as sketches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midstage.contracts import sketch
from midstage.contracts.sketch import Sketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Rows in a ledger; of those of the last minute how many ms after their end they came in."""

    rows: int
    ages: Sketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One shard: records that it has not counted yet (None: not known), and its rows."""

    lag_records: int | None
    recorded: Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """One shard; all is None, and ``problem`` says why, where it did not answer."""

    shard: int
    lag_records: int | None
    rows: int | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAnswer:
    """How stats stands as a whole (None: not known), and each of its shards."""

    lag_records: int | None = None
    rows: int | None = None
    recent_rows: int | None = None
    freshness_ms_p50: float | None = None
    freshness_ms_p99: float | None = None
    shards: tuple[ShardStatus, ...]


def status(said: Mapping[int, Standing | str]) -> StatusAnswer:
    """What the shards said by number, or why one said nothing."""
    known = [one for one in said.values() if not isinstance(one, str)]
    if len(known) < len(said):
        return StatusAnswer(shards=_each(said))
    ages = sketch.merged(*(one.recorded.ages for one in known))
    return StatusAnswer(
        lag_records=_sum([one.lag_records for one in known]),
        rows=sum(one.recorded.rows for one in known),
        recent_rows=sketch.count(ages),
        freshness_ms_p50=sketch.quantile(ages, 0.5),
        freshness_ms_p99=sketch.quantile(ages, 0.99),
        shards=_each(said),
    )


def _each(said: Mapping[int, Standing | str]) -> tuple[ShardStatus, ...]:
    return tuple(_one(number, said[number]) for number in sorted(said))


def _one(number: int, said: Standing | str) -> ShardStatus:
    if isinstance(said, str):
        return ShardStatus(shard=number, lag_records=None, rows=None, problem=said)
    return ShardStatus(
        shard=number, lag_records=said.lag_records, rows=said.recorded.rows, problem=None
    )


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
