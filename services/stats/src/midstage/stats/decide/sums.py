"""Rows added up: by minute, customer, application, endpoint and revision; by source and hour.

Whole numbers in any order, exact also where 64 bits are not enough.
"""

import numpy as np

from midstage.stats.model import NO_HOURS, NO_SUMS, Longs, Rows, SourceHours, Sums, Wholes, Words
from midstage.stats.model.groups import grouped, mixed, ranked, totals

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US

OUTCOME, UNIT, BYTES = "outcome", "unit", "bytes"


def sums(rows: Rows) -> Sums:
    """The partial sums of these rows; units of what is billed alone, bytes where there are any."""
    if not len(rows):
        return NO_SUMS
    cells, first_of = _cells(rows)
    billed = np.flatnonzero(rows.billed[rows.usage.rows])
    said = np.array([bool(word) for word in rows.outcome.words], np.bool_)[rows.outcome.codes]
    ended = np.flatnonzero(said)
    parts = [
        _part(OUTCOME, cells[ended], rows.outcome.taken(ended), np.ones(len(ended), np.int64)),
        _part(
            UNIT,
            cells[rows.usage.rows[billed]],
            rows.usage.names.taken(billed),
            rows.usage.micros[billed],
        ),
        *(
            _part(BYTES, cells[some], Words.same(name, len(some)), amounts[some])
            for name, amounts in (("in", rows.bytes_in), ("out", rows.bytes_out))
            for some in (np.flatnonzero(amounts),)
        ),
    ]
    at = first_of[np.concatenate([cell for _, cell, _, _ in parts])]
    return Sums(
        minute=_begins(rows.time[at], MINUTE_US),
        customer=rows.customer.taken(at),
        app=rows.app.taken(at),
        endpoint=rows.endpoint.taken(at),
        revision=rows.revision.taken(at),
        kind=Words.joined([Words.same(kind, len(cell)) for kind, cell, _, _ in parts]),
        name=Words.joined([name for _, _, name, _ in parts]),
        amount=np.concatenate([amounts for _, _, _, amounts in parts]),
    )


def hours(rows: Rows) -> SourceHours:
    """What these rows add to each source and hour of event time."""
    if not len(rows):
        return NO_HOURS
    hour = _begins(rows.time, HOUR_US)
    keys = mixed([rows.source.codes.astype(np.int64), ranked(rows.time // HOUR_US)])
    order = np.argsort(keys, kind="stable")
    begins = _group_begins(keys[order])
    seq = rows.seq[order]
    return SourceHours(
        source=rows.source.taken(order[begins]),
        hour=hour[order[begins]],
        rows=np.diff(np.append(begins, len(order))),
        first_seq=np.minimum.reduceat(seq, begins),
        last_seq=np.maximum.reduceat(seq, begins),
    )


def _cells(rows: Rows) -> tuple[Longs, Longs]:
    """Each row's cell as a number from 0 on, and of each cell a row that lies in it."""
    columns = (rows.customer, rows.app, rows.endpoint, rows.revision)
    minutes = ranked(rows.time // MINUTE_US)
    return grouped(mixed([minutes, *(column.codes.astype(np.int64) for column in columns)]))


def _part(
    kind: str, cells: Longs, names: Words, amounts: Longs
) -> tuple[str, Longs, Words, Wholes]:
    """The amounts added up by cell and name."""
    if not len(cells):
        return kind, cells, names, cells
    groups, at = grouped(mixed([cells, names.codes.astype(np.int64)]))
    return kind, cells[at], names.taken(at), totals(groups, amounts, count=len(at))


def _begins(times: Longs, length: int) -> Longs:
    begins: Longs = times - times % length
    return begins


def _group_begins(ordered: Longs) -> Longs:
    changes = np.flatnonzero(np.diff(ordered)) + 1
    return np.concatenate(([0], changes))
