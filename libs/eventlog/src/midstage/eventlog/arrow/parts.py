"""Columns of many values an event: units and labels by name, as a map or a list of pairs.

A name stands once in an event. Units become whole micro-units exactly as one by one in
``contracts.units.micros``: negative, above the largest or finer than a millionth is refused.
"""

from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.compute as pc  # type: ignore[import-untyped]  # likewise

from midstage.contracts import units
from midstage.contracts.errors import UnreadableError
from midstage.contracts.units import EXACT_MICROS, LARGEST, MICROS_PER_UNIT
from midstage.eventlog.arrow.cells import (
    TEXT,
    Cells,
    as_type,
    between,
    textual,
    view,
    within,
    wrong,
    zeros,
)
from midstage.eventlog.arrow.columns import Amounts, Coded, Labels

MOST_NAMES = 32
_NAME = 64
_BLUR = 4.5e-16  # as in contracts.units
_NOTHING = Coded(words=(), codes=zeros("i", 0))


def amounts(cells: Cells, name: str, *, least: int = 0) -> Amounts:
    """The micro-units of a column of units; each event has at least ``least`` of them."""
    found = _pairs(cells, name, least=least)
    if found is None:
        return Amounts(offsets=zeros("i", cells.count + 1), names=_NOTHING, micros=zeros("q", 0))
    names = found.named(cells, most=_NAME)
    values = found.values
    if pa.types.is_integer(values.type):
        wide = as_type(values, pa.int64())
        found.within(wide, 0, LARGEST)
        micros = pc.multiply(wide, MICROS_PER_UNIT)
    elif pa.types.is_float64(values.type):
        found.within(values, 0.0, float(LARGEST))
        micros = _exact(found, values)
    else:
        raise UnreadableError(f"column {name} has units of type {values.type}")
    return Amounts(offsets=view(found.offsets, "i"), names=names, micros=view(micros, "q"))


def _exact(found: "_Pairs", values: pa.Array) -> pa.Array:
    whole = pc.floor(values)  # apart, because the product of a large float is not exact
    rest = pc.round(pc.multiply(pc.subtract(values, whole), float(MICROS_PER_UNIT)))
    micros = pc.add(pc.multiply(whole.cast(pa.int64()), MICROS_PER_UNIT), rest.cast(pa.int64()))
    back = pc.divide(micros.cast(pa.float64(), safe=False), float(MICROS_PER_UNIT))
    blur = pc.multiply(pc.max_element_wise(back, values), _BLUR)
    near = pc.less_equal(pc.abs(pc.subtract(back, values)), blur)
    found.must(near, "has more than six decimals")
    blurred = pc.and_(pc.greater_equal(micros, EXACT_MICROS), pc.not_equal(values, whole))
    if not pc.any(blurred).as_py():
        return micros
    one_by_one = [units.micros(value) for value in values.filter(blurred).to_pylist()]
    return pc.replace_with_mask(micros, blurred, pa.array(one_by_one, pa.int64()))


def labels(cells: Cells, name: str) -> Labels:
    """A column of labels."""
    found = _pairs(cells, name)
    if found is None or (textual(found.values.type) and not len(found.values)):
        nothing = zeros("i", cells.count + 1)
        return Labels(offsets=nothing, names=_NOTHING, values=_NOTHING)
    names = found.named(cells, most=TEXT)
    if found.values.null_count:
        found.must(pc.is_valid(found.values), "has a null")
    values = cells.code(name, found.values, optional=False)
    _short(found, values, most=TEXT)
    return Labels(offsets=view(found.offsets, "i"), names=names, values=values)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairs:
    column: str
    offsets: pa.Array
    owners: pa.Array
    keys: pa.Array
    values: pa.Array

    def named(self, cells: Cells, *, most: int) -> Coded:
        """The names, each once an event."""
        if self.keys.null_count:
            self.must(pc.is_valid(self.keys), "has a name that is null")
        names = cells.code(self.column, self.keys, optional=False)
        _short(self, names, most=most, least=1 if most == _NAME else 0)
        codes = pa.Array.from_buffers(
            pa.int32(), len(names.codes), [None, pa.py_buffer(names.codes)]
        )
        places = pc.add(pc.multiply(self.owners, len(names.words) + 1), codes.cast(pa.int64()))
        if pc.count_distinct(places).as_py() != len(places):
            self.wrong(_second(places.to_pylist()), "says a name twice")
        return names

    def must(self, fine: pa.Array, why: str) -> None:
        at = wrong(fine)
        if at >= 0:
            self.wrong(at, why)

    def within(self, values: pa.Array, least: float, most: float) -> None:
        if values.null_count or not within(values, least, most):
            self.must(between(values, least, most), f"is not between {least:.0f} and {most:.0f}")

    def wrong(self, at: int, why: str) -> None:
        raise UnreadableError(f"event {self.owners[at].as_py()}: {self.column} {why}")


def _pairs(cells: Cells, name: str, *, least: int = 0) -> _Pairs | None:
    column = cells.columns.get(name)
    if column is None:
        if least:
            raise UnreadableError(f"column {name} is missing")
        return None
    _check_type(name, column.type)
    lengths = pc.subtract(column.offsets[1:], column.offsets[:-1])
    if column.null_count:  # a null may span what it does not mean
        empty = pc.or_(pc.is_valid(column), pc.equal(lengths, 0))
        cells.must(empty, name, "is null and not empty")
    why = f"has not {least} to {MOST_NAMES} names"
    if not within(lengths, least, MOST_NAMES):
        cells.must(between(lengths, least, MOST_NAMES), name, why)
    begin, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
    offsets = pc.subtract(column.offsets, column.offsets[0]).cast(pa.int32())
    if pa.types.is_map(column.type):
        keys, values = column.keys[begin:end], column.items[begin:end]
    else:
        pairs = column.values[begin:end]
        if pairs.null_count:
            raise UnreadableError(f"column {name} has a pair that is null")
        keys, values = pairs.field(0), pairs.field(1)
    owners = pc.list_parent_indices(pa.ListArray.from_arrays(offsets, keys)).cast(pa.int64())
    return _Pairs(column=name, offsets=offsets, owners=owners, keys=keys, values=values)


def _check_type(name: str, of: pa.DataType) -> None:
    if pa.types.is_map(of):
        key = of.key_type
    elif (
        (pa.types.is_list(of) or pa.types.is_large_list(of))
        and pa.types.is_struct(of.value_type)
        and of.value_type.num_fields == 2
    ):
        key = of.value_type.field(0).type
    else:
        raise UnreadableError(f"column {name} is neither a map nor a list of pairs but {of}")
    if not textual(key):
        raise UnreadableError(f"column {name} has names that are no texts but {key}")


def _short(found: _Pairs, said: Coded, *, most: int, least: int = 0) -> None:
    if all(least <= len(word) <= most for word in said.words):
        return
    for at, code in enumerate(said.codes):
        if not least <= len(said.words[code]) <= most:
            found.wrong(at, f"has a text of not {least} to {most} characters")


def _second(places: list[int]) -> int:
    seen: set[int] = set()
    for at, place in enumerate(places):
        if place in seen:
            return at
        seen.add(place)
    return 0
