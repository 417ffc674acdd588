"""The caller's list against the ledger's rows, number by number: pure, and for any order of rows.

Missing: in the list, not in the ledger. Duplicated: more than one row of one number. Different: a
field differs, or the ledger has a number that the caller never sent. Units are compared unless one
side estimated them; that an answer that ended was estimated is itself a difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from midstage.contracts.requests import BILLED, Outcome
from midstage.contracts.units import Micros, micros, total
from midstage.local.replay.listing import CallerRow


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the usage store, as stats' ``/v1/requests`` shows it."""

    shard: int = 0
    row: int
    ref: str
    customer: str
    app: str
    status: int
    outcome: Outcome
    usage: Mapping[str, int | float]
    estimated: bool
    source: str
    seq: int | None
    time: datetime
    recorded_ms_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """One number with more than one row; ``places`` are source and number of each."""

    ref: str
    customer: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row that is not the same; ``fields``: by name the caller's and the ledger's value."""

    ref: str
    customer: str
    fields: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Units by name, in micro-units, as the caller and as the ledger have them."""

    caller: Mapping[str, Micros]
    ledger: Mapping[str, Micros]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found; ``estimated_rows`` are in ``estimated`` and not in ``units``."""

    missing: tuple[CallerRow, ...]
    duplicated: tuple[Duplicate, ...]
    different: tuple[Difference, ...]
    units: Sums
    estimated: Sums
    estimated_rows: int


def compared(mine: Iterable[CallerRow], theirs: Iterable[LedgerRow]) -> Comparison:
    """Compare the caller's rows with the ledger's."""
    listed = {row.ref: row for row in sorted(mine, key=lambda row: row.ref)}
    found: defaultdict[str, list[LedgerRow]] = defaultdict(list)
    for row in sorted(theirs, key=lambda row: (row.ref, row.row)):
        found[row.ref].append(row)
    estimated = _estimated(listed.values(), found)
    return Comparison(
        missing=tuple(row for ref, row in listed.items() if ref not in found),
        duplicated=tuple(_duplicate(rows) for rows in found.values() if len(rows) > 1),
        different=tuple(_differences(listed, found)),
        units=_sums(listed, found, leave_out=estimated),
        estimated=_sums(listed, found, leave_out=(listed.keys() | found.keys()) - estimated),
        estimated_rows=len(estimated),
    )


def _estimated(mine: Iterable[CallerRow], found: Mapping[str, Sequence[LedgerRow]]) -> set[str]:
    ours = {row.ref for row in mine if row.estimated}
    return ours | {ref for ref, rows in found.items() if any(row.estimated for row in rows)}


def _duplicate(rows: Sequence[LedgerRow]) -> Duplicate:
    places = tuple(f"{row.source} {row.seq}" for row in rows)
    return Duplicate(ref=rows[0].ref, customer=rows[0].customer, places=places)


def _differences(
    listed: Mapping[str, CallerRow], found: Mapping[str, Sequence[LedgerRow]]
) -> Iterable[Difference]:
    for ref, rows in found.items():
        mine = listed.get(ref)
        if mine is None:
            foreign = {"ref": ("never sent", ref)}
            yield Difference(ref=ref, customer=rows[0].customer, fields=foreign)
            continue
        fields: dict[str, tuple[str, str]] = {}
        for theirs in rows:
            fields |= _fields(mine, theirs)
        if fields:
            yield Difference(ref=ref, customer=mine.customer, fields=fields)


def _fields(mine: CallerRow, theirs: LedgerRow) -> dict[str, tuple[str, str]]:
    pairs: dict[str, tuple[object, object]] = {
        "customer": (mine.customer, theirs.customer),
        "app": (mine.app, theirs.app),
        "status": (mine.status, theirs.status),
        "outcome": (mine.outcome.value, theirs.outcome.value),
    }
    if mine.outcome is Outcome.OK:
        pairs["estimated"] = (mine.estimated, theirs.estimated)
    if not (mine.estimated or theirs.estimated):
        pairs["usage"] = (_micros(mine.usage), _micros(theirs.usage))
    shown = {"usage": (mine.usage, theirs.usage)}
    return {
        name: (_text(shown.get(name, pair)[0]), _text(shown.get(name, pair)[1]))
        for name, pair in pairs.items()
        if pair[0] != pair[1]
    }


def _sums(
    listed: Mapping[str, CallerRow],
    found: Mapping[str, Sequence[LedgerRow]],
    *,
    leave_out: set[str],
) -> Sums:
    ours = (row for ref, row in listed.items() if ref not in leave_out)
    theirs = (row for ref, rows in found.items() if ref not in leave_out for row in rows)
    return Sums(
        caller=total(_micros(row.usage) for row in ours if row.outcome in BILLED),
        ledger=total(_micros(row.usage) for row in theirs if row.outcome in BILLED),
    )


def _micros(usage: Mapping[str, int | float]) -> dict[str, int]:
    return {name: micros(amount) for name, amount in usage.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
