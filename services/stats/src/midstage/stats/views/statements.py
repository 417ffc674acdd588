"""A statement's bytes: canonical, so that whoever has the rows makes the same ones again.

JSON with sorted keys, without spaces, in ASCII; sums in text, times in UTC with microseconds, all
lists in the order of their keys. Nothing in it tells when or by which process it was written.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from midstage.contracts.billing import Line, OpenGap, PeriodClosed, Seal, StatementPiece
from midstage.contracts.units import MICROS_PER_UNIT
from midstage.stats.decide.billing import Account, Part, added, added_late, tallied
from midstage.stats.decide.periods import Accepted, Period

FORM = 1
PIECE_BYTES = 384 * 1024
"""So that a piece is below the 1 MiB of an event, also when each of its quotes is escaped."""

_COLUMNS = ("period", "of_period", "customer", "app", "kind", "name", "amount", "micros")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodShown:
    """A closed period: its time, its statement's hash, and the gaps that it was closed over."""

    period: str
    since: datetime
    until: datetime
    zone: str
    sha256: str
    size: int
    gaps: tuple[OpenGap, ...]
    seals: tuple[Seal, ...]
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodsAnswer:
    """The closed periods in the order of their time."""

    periods: tuple[PeriodShown, ...]


def canonical(period: Period, parts: Iterable[Part], accepted: Accepted) -> bytes:
    """The statement of a period from the parts of all its shards."""
    held = sorted(parts, key=lambda part: part.seal.shard)
    gaps = sorted(
        (gap for part in held for gap in part.gaps), key=lambda gap: (gap.source, gap.first)
    )
    late = added_late(one for part in held for one in part.late)
    sources = tallied(one for part in held for one in part.sources)
    said = {
        "form": FORM,
        "period": period.name,
        "from": _time(period.since),
        "to": _time(period.until),
        "zone": period.zone,
        "lines": [_line(line) for line in added(line for part in held for line in part.lines)],
        "late": [{"period": one.period, **_line(one.line)} for one in late],
        "sources": [
            {"source": one.source, "rows": one.rows, "first": one.first, "last": one.last}
            for one in sources
        ],
        "gaps": [_gap(gap) for gap in gaps],
        "accepted": {"by": accepted.by, "why": accepted.why} if gaps else None,
        "seals": [_seal(part.seal) for part in held],
    }
    return (
        json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"
    )


def digest(statement: bytes) -> str:
    """Its SHA-256."""
    return hashlib.sha256(statement).hexdigest()


def pieces(period: str, statement: bytes) -> tuple[StatementPiece, ...]:
    """The statement cut into what a record of the log can hold."""
    text, whole = statement.decode("ascii"), digest(statement)
    cuts = range(0, len(text), PIECE_BYTES)
    return tuple(
        StatementPiece(
            period=period,
            piece=number,
            pieces=len(cuts),
            statement_sha256=whole,
            content=text[begin : begin + PIECE_BYTES],
        )
        for number, begin in enumerate(cuts, 1)
    )


def closing(
    period: Period, parts: Iterable[Part], accepted: Accepted, statement: bytes, *, at: datetime
) -> PeriodClosed:
    """The fact that closes the period with this statement."""
    held = sorted(parts, key=lambda part: part.seal.shard)
    gaps = tuple(gap for part in held for gap in part.gaps)
    return PeriodClosed(
        period=period.name,
        since=period.since,
        until=period.until,
        zone=period.zone,
        seals=tuple(part.seal for part in held),
        gaps=tuple(sorted(gaps, key=lambda gap: (gap.source, gap.first))),
        sha256=digest(statement),
        size=len(statement),
        pieces=len(pieces(period.name, statement)),
        by=accepted.by,
        why=accepted.why,
        at=at,
    )


def accepted_in(closed: PeriodClosed) -> Accepted:
    """Who accepted which gaps, as the statement says it."""
    return Accepted(gaps=bool(closed.gaps), by=closed.by, why=closed.why)


def table(statement: bytes) -> str:
    """The statement's sums as CSV: a line each, units as decimals and in exact micro-units."""
    said = json.loads(statement)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for of_period, line in [
        *((said["period"], line) for line in said["lines"]),
        *((line["period"], line) for line in said["late"]),
    ]:
        shown = (line[name] for name in ("customer", "app", "kind", "name"))
        writer.writerow((said["period"], of_period, *shown, *_amounts(line)))
    return out.getvalue()


def shown(accounts: Iterable[Account]) -> PeriodsAnswer:
    """The closed periods."""
    closed = [account.closed for account in accounts if account.closed is not None]
    return PeriodsAnswer(
        periods=tuple(one_shown(one) for one in sorted(closed, key=lambda one: one.since))
    )


def one_shown(closed: PeriodClosed) -> PeriodShown:
    """One closed period."""
    return PeriodShown(
        period=closed.period,
        since=closed.since,
        until=closed.until,
        zone=closed.zone,
        sha256=closed.sha256,
        size=closed.size,
        gaps=closed.gaps,
        seals=closed.seals,
        by=closed.by,
        why=closed.why,
        at=closed.at,
    )


def _amounts(line: dict[str, str]) -> Sequence[str]:
    """The amount in units, and in micro-units where it is one of units."""
    if line["kind"] != "unit":
        return line["amount"], ""
    whole, rest = divmod(int(line["amount"]), MICROS_PER_UNIT)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip("."), line["amount"]


def _line(line: Line) -> dict[str, str]:
    return {
        "customer": line.customer,
        "app": line.app,
        "kind": line.kind,
        "name": line.name,
        "amount": line.amount,
    }


def _gap(gap: OpenGap) -> dict[str, str | int | None]:
    return {
        "source": gap.source,
        "first": gap.first,
        "last": gap.last,
        "after": None if gap.after is None else _time(gap.after),
        "before": None if gap.before is None else _time(gap.before),
    }


def _seal(seal: Seal) -> dict[str, object]:
    return {
        "shard": seal.shard,
        "row": seal.row,
        "version": seal.version,
        "sealed_at": _time(seal.sealed_at),
        "positions": [
            {"topic": at.topic, "number": at.number, "next": at.next}
            for at in sorted(seal.positions)
        ],
    }


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
