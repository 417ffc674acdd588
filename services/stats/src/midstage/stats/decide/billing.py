"""What a statement is made of, what it adds to the log, and what the log says of billing.

A shard's part is taken when it seals; parts are added up. A statement closes its period once: who
comes second finds it closed. What came late is told in absolute sums, so the newest revision holds.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from midstage.contracts.billing import (
    BillingFact,
    Line,
    OpenGap,
    PeriodClosed,
    Seal,
    StatementPiece,
    UsageAdjusted,
    UsageGap,
    UsageGapClosed,
)
from midstage.contracts.errors import RefusedError
from midstage.stats.decide import completeness
from midstage.stats.decide.completeness import NOTHING, Declared
from midstage.stats.decide.periods import CONFLICT, Period

Cell = tuple[str, str, str, str]
"""Customer, application, kind, name."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Late:
    """A sum that came late for the closed ``period``; empty: from before the first of all."""

    period: str
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Tallied:
    """Rows of one source in the period; numbers are 0 where it does not number its events."""

    source: str
    rows: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one shard has of a period, up to its seal; parts of several shards are added up."""

    seal: Seal
    lines: tuple[Line, ...]
    late: tuple[Late, ...]
    sources: tuple[Tallied, ...]
    gaps: tuple[OpenGap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """What came late for closed periods, since the last seal: it will be on the next statement."""

    since: datetime
    after_row: int
    upto_row: int
    late: tuple[Late, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the log says under one key: of a source, of a period, or of what came late for it.

    ``piece`` is the hash of a piece's content: many statements need not be held in memory.
    """

    declared: Declared = NOTHING
    closed: PeriodClosed | None = None
    piece: str | None = None
    late: UsageAdjusted | None = None
    sums: Mapping[Cell, str] = field(default_factory=dict)


def evolve(account: Account, fact: BillingFact) -> Account:
    """The account after a fact."""
    match fact:
        case UsageGap() | UsageGapClosed():
            return replace(account, declared=completeness.evolve(account.declared, fact))
        case PeriodClosed():
            return replace(account, closed=fact)
        case StatementPiece():
            return replace(account, piece=_content(fact))
        case UsageAdjusted():
            same = account.late is not None and account.late.after_row == fact.after_row
            added = {cell(line): line.amount for line in fact.lines}
            sums = {**account.sums, **added} if same else added
            return replace(account, late=fact, sums=sums)
        case _:
            assert_never(fact)


def close(account: Account, closed: PeriodClosed) -> tuple[PeriodClosed, ...]:
    """The fact that closes a period; none where it is closed so, RefusedError where otherwise."""
    held = account.closed
    if held is None:
        return (closed,)
    if period_of(held) != period_of(closed):
        raise RefusedError(f"{closed.period} is closed with another time", status=CONFLICT)
    return ()


def put(account: Account, piece: StatementPiece) -> tuple[StatementPiece, ...]:
    """The fact that puts a piece down; none where it stands."""
    return () if account.piece == _content(piece) else (piece,)


def adjust(account: Account, seen: UsageAdjusted) -> tuple[UsageAdjusted, ...]:
    """The fact that tells which sums changed, as the next revision; none where none did."""
    held = account.late
    if held is not None and (held.after_row, held.upto_row) > (seen.after_row, seen.upto_row):
        return ()
    same = held is not None and held.after_row == seen.after_row
    before = account.sums if same else {}
    changed = tuple(line for line in seen.lines if before.get(cell(line)) != line.amount)
    if not changed:
        return ()
    revision = held.revision + 1 if held is not None else 1
    return (replace_lines(seen, changed, revision=revision),)


def replace_lines(fact: UsageAdjusted, lines: tuple[Line, ...], *, revision: int) -> UsageAdjusted:
    """The same with other lines."""
    return UsageAdjusted(
        period=fact.period,
        since=fact.since,
        shard=fact.shard,
        after_row=fact.after_row,
        upto_row=fact.upto_row,
        revision=revision,
        lines=lines,
        at=fact.at,
    )


def added(lines: Iterable[Line]) -> tuple[Line, ...]:
    """One line for each cell, in their order; whole numbers of any size."""
    sums: dict[Cell, int] = {}
    for line in lines:
        sums[cell(line)] = sums.get(cell(line), 0) + int(line.amount)
    return tuple(line_of(at, amount) for at, amount in sorted(sums.items()))


def added_late(late: Iterable[Late]) -> tuple[Late, ...]:
    """One sum for each period and cell, in their order."""
    held: dict[str, list[Line]] = {}
    for one in late:
        held.setdefault(one.period, []).append(one.line)
    return tuple(
        Late(period=period, line=line) for period in sorted(held) for line in added(held[period])
    )


def tallied(parts: Iterable[Tallied]) -> tuple[Tallied, ...]:
    """One tally for each source; a source is in one shard, and counted once there."""
    sums: dict[str, Tallied] = {}
    for one in parts:
        held = sums.get(one.source)
        sums[one.source] = (
            one
            if held is None
            else Tallied(
                source=one.source,
                rows=held.rows + one.rows,
                first=min(held.first, one.first),
                last=max(held.last, one.last),
            )
        )
    return tuple(sums[name] for name in sorted(sums))


def cell(line: Line) -> Cell:
    """Where the line's sum belongs."""
    return line.customer, line.app, line.kind, line.name


def line_of(at: Cell, amount: int) -> Line:
    """The sum of one cell as a line."""
    customer, app, kind, name = at
    return Line(customer=customer, app=app, kind=kind, name=name, amount=str(amount))


def period_of(closed: PeriodClosed) -> Period:
    """The period that was closed."""
    return Period(name=closed.period, since=closed.since, until=closed.until, zone=closed.zone)


def _content(piece: StatementPiece) -> str:
    return hashlib.sha256(piece.content.encode()).hexdigest()
