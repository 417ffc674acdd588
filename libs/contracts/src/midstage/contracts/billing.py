"""What stats puts down for ever for whoever bills: gaps, statements of periods, adjustments.

A versioned log: written by stats to ``midstage.billing.v1``. Gaps are keyed ``source/<source>``, a
period ``period/<id>``, a piece of its statement ``period/<id>/<sha256>/<piece>``, what comes late
for it ``period/<id>/late/<shard>``. Amounts are whole numbers as text: a sum may outgrow 64 bits.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from midstage.contracts.fact import Name

PERIOD: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a period may be called, as 2026-11."""
LONGEST_KEY: Final = 256

PeriodId = Annotated[str, msgspec.Meta(pattern=f"^{PERIOD}$")]
Number = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Whole = Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,60}$")]
"""A whole number of any size, in decimal."""


class GapReason(StrEnum):
    """Why usage may be missing."""

    HOLE = "hole"
    SILENT = "silent"


class UsageGap(msgspec.Struct, frozen=True, kw_only=True, tag="UsageGap", tag_field="fact"):
    """Numbers ``first`` to ``last`` of a source are missing for longer than its grace.

    What they stand for ended after ``after`` and before ``before`` (None: not known). ``last``
    None: the source went silent without an end; what it had after ``after`` is not waited for.
    """

    source: Name
    edge: str
    reason: GapReason
    first: Number
    last: Number | None
    after: datetime | None
    before: datetime | None
    shard: Count = 0
    at: datetime


class UsageGapClosed(
    msgspec.Struct, frozen=True, kw_only=True, tag="UsageGapClosed", tag_field="fact"
):
    """What had been missing came: ``first`` to ``last``; None: the silent source spoke again."""

    source: Name
    reason: GapReason
    first: Number
    last: Number | None
    at: datetime


class Line(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One sum: ``kind`` ``unit`` counts billed micro-units, ``outcome`` requests."""

    customer: str
    app: str
    kind: str
    name: str
    amount: Whole


class Position(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where a shard's ledger had read up to: ``next`` is the first offset that it has not."""

    topic: Name
    number: Count
    next: Count


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """A shard's cut: rows up to ``row`` are in the statement, later ones will be adjustments."""

    shard: Count
    row: Count
    version: Count
    positions: tuple[Position, ...]
    sealed_at: datetime


class OpenGap(msgspec.Struct, frozen=True, kw_only=True):
    """A gap that a period was closed over; ``first`` to ``last`` as in ``UsageGap``."""

    source: Name
    first: Number
    last: Number | None
    after: datetime | None
    before: datetime | None


class StatementPiece(
    msgspec.Struct, frozen=True, kw_only=True, tag="StatementPiece", tag_field="fact"
):
    """A piece of a statement's canonical bytes (ASCII); all pieces in order are the statement."""

    period: PeriodId
    piece: Number
    pieces: Number
    statement_sha256: str
    content: str


class PeriodClosed(msgspec.Struct, frozen=True, kw_only=True, tag="PeriodClosed", tag_field="fact"):
    """A period's statement stands: its bytes have ``sha256``, and its ``pieces`` are in the log.

    From ``since`` up to but without ``until``, as a calendar of ``zone`` has them. ``seals`` say
    which rows of which shard it rests on; ``gaps`` were open, and accepted by ``by`` because of
    ``why``.
    """

    period: PeriodId
    since: datetime
    until: datetime
    zone: Name
    seals: tuple[Seal, ...]
    gaps: tuple[OpenGap, ...]
    sha256: str
    size: Count
    pieces: Count
    by: str
    why: str
    at: datetime


class UsageAdjusted(
    msgspec.Struct, frozen=True, kw_only=True, tag="UsageAdjusted", tag_field="fact"
):
    """What came late for a closed ``period`` will be on the statement of the open one.

    ``since`` is where the open period begins; an empty ``period`` is all time before the first
    that was closed. ``lines`` are those that changed: absolute sums over
    the shard's rows above ``after_row`` (the last seal). A higher ``revision`` counts more.
    """

    period: Annotated[str, msgspec.Meta(max_length=64)]
    since: datetime
    shard: Count
    after_row: Count
    upto_row: Count
    revision: Number
    lines: tuple[Line, ...]
    at: datetime


BillingFact = UsageGap | UsageGapClosed | StatementPiece | PeriodClosed | UsageAdjusted


def source_key(source: str) -> str:
    """The key under which a source's gaps are; of a name that is too long, its hash."""
    key = f"source/{source}"
    if len(key) <= LONGEST_KEY:
        return key
    return f"source/{hashlib.blake2b(source.encode(), digest_size=16).hexdigest()}"


def period_key(period: str) -> str:
    """The key of a period."""
    return f"period/{period}"


def piece_key(period: str, statement_sha256: str, piece: int) -> str:
    """The key of a piece of its statement."""
    return f"period/{period}/{statement_sha256}/{piece}"


def late_key(period: str, shard: int) -> str:
    """The key of what a shard has late for a period."""
    return f"period/{period}/late/{shard}"
