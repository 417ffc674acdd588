"""Rows added up: by minute, customer, application, endpoint and revision; by source and hour.

Whole numbers in any order, exact also where 64 bits are not enough.
"""

from collections.abc import Sequence

import numpy as np

from midstage.stats.model import NO_HOURS, NO_SUMS, Longs, Rows, SourceHours, Sums, Wholes, Words

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
_ROOM = 2**62
_LOW_BITS = 32
_LOW = 2**_LOW_BITS - 1
_TABLE, _TABLE_EACH = 2**16, 16
"""Keys that a table has room for: as many as that, and so many for each row."""

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
    keys = _mixed([rows.source.codes.astype(np.int64), _ranked(hour)])
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
    minutes = _ranked(_begins(rows.time, MINUTE_US))
    return _grouped(_mixed([minutes, *(column.codes.astype(np.int64) for column in columns)]))


def _part(
    kind: str, cells: Longs, names: Words, amounts: Longs
) -> tuple[str, Longs, Words, Wholes]:
    """The amounts added up by cell and name."""
    if not len(cells):
        return kind, cells, names, cells
    groups, at = _grouped(_mixed([cells, names.codes.astype(np.int64)]))
    return kind, cells[at], names.taken(at), _totals(groups, amounts, count=len(at))


def _grouped(keys: Longs) -> tuple[Longs, Longs]:
    """Each key's place among the distinct ones, and of each of these where one stands.

    By a table of all keys that there could be, a twentieth of sorting, where it has room.
    """
    room = int(keys.max()) + 1
    if room > max(_TABLE, _TABLE_EACH * len(keys)):
        _, stands, places = np.unique(keys, return_index=True, return_inverse=True)
        return places, stands
    one = np.full(room, -1, np.int64)
    one[keys] = np.arange(len(keys))
    there = one >= 0
    return (np.cumsum(there) - 1)[keys], one[there]


def _totals(groups: Longs, amounts: Longs, *, count: int) -> Wholes:
    """The sum of each group; where 64 bits may not be enough, of halves that can't overflow."""
    if int(amounts.max()) <= _ROOM // len(amounts):
        return _added(groups, amounts, count)
    high = _added(groups, amounts >> _LOW_BITS, count).astype(object)
    low = _added(groups, amounts & _LOW, count).astype(object)
    totals: Wholes = (high << _LOW_BITS) + low
    return totals


def _added(groups: Longs, amounts: Longs, count: int) -> Longs:
    totals = np.zeros(count, np.int64)
    np.add.at(totals, groups, amounts)
    return totals


def _begins(times: Longs, length: int) -> Longs:
    begins: Longs = times - times % length
    return begins


def _ranked(values: Longs) -> Longs:
    """Each value's place among the distinct ones: small numbers that tell them apart."""
    ranks: Longs = np.unique(values, return_inverse=True)[1]
    return ranks


def _mixed(columns: Sequence[Longs]) -> Longs:
    """One number for each row that tells the columns' combinations apart."""
    keys = columns[0]
    room = int(keys.max()) + 1
    for column in columns[1:]:
        size = int(column.max()) + 1
        if room * size > _ROOM:
            keys = _ranked(keys)
            room = int(keys.max()) + 1
        keys = keys * size + column
        room *= size
    return keys


def _group_begins(ordered: Longs) -> Longs:
    changes = np.flatnonzero(np.diff(ordered)) + 1
    return np.concatenate(([0], changes))
