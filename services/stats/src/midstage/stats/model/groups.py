"""Rows that are alike as numbered groups, and what each group adds up to: whole columns, exact.

By tables of all that there could be, a twentieth of the cost of sorting, where these have room.
"""

from collections.abc import Sequence

import numpy as np

from midstage.stats.model.words import Longs, Wholes

_TABLE, _TABLE_EACH = 2**16, 16
"""Keys that a table has room for: as many as that, and so many for each row."""
_ROOM = 2**62
_LOW_BITS = 32
_LOW = 2**_LOW_BITS - 1


def grouped(keys: Longs) -> tuple[Longs, Longs]:
    """Each key's place among the distinct ones, and of each of these where one stands.

    Keys are not negative; there is at least one.
    """
    room = int(keys.max()) + 1
    if room > max(_TABLE, _TABLE_EACH * len(keys)):
        _, stands, places = np.unique(keys, return_index=True, return_inverse=True)
        return places, stands
    one = np.full(room, -1, np.int64)
    one[keys] = np.arange(len(keys))
    there = one >= 0
    return (np.cumsum(there) - 1)[keys], one[there]


def ranked(values: Longs) -> Longs:
    """Each value's place among the distinct ones: small numbers that tell them apart."""
    low, high = int(values.min()), int(values.max())
    if high - low < _ROOM:
        return grouped(values - low)[0]
    ranks: Longs = np.unique(values, return_inverse=True)[1]
    return ranks


def mixed(columns: Sequence[Longs]) -> Longs:
    """One number for each row that tells the columns' combinations apart; none is negative."""
    keys = columns[0]
    room = int(keys.max()) + 1
    for column in columns[1:]:
        size = int(column.max()) + 1
        if room * size > _ROOM:
            keys = ranked(keys)
            room = int(keys.max()) + 1
        keys = keys * size + column
        room *= size
    return keys


def totals(groups: Longs, amounts: Longs, *, count: int) -> Wholes:
    """The sum of each group; where 64 bits may not be enough, of halves that can't overflow.

    No amount is negative; there is at least one.
    """
    if int(amounts.max()) <= _ROOM // len(amounts):
        return _added(groups, amounts, count)
    high = _added(groups, amounts >> _LOW_BITS, count).astype(object)
    low = _added(groups, amounts & _LOW, count).astype(object)
    found: Wholes = (high << _LOW_BITS) + low
    return found


def _added(groups: Longs, amounts: Longs, count: int) -> Longs:
    found = np.zeros(count, np.int64)
    np.add.at(found, groups, amounts)
    return found
