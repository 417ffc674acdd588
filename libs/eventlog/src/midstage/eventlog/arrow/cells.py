"""Columns of one batch, each checked as a whole: what is wrong is named with the event's index.

Limits are those of the event's fact, and each text has one, so that no event is above 1 MiB. A
text that a dictionary says many times counts each time towards what may be expanded. A call takes
as long as a thousand values do: so what is plainly fine is asked as little as can be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Literal

import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own
import pyarrow.compute as pc  # type: ignore[import-untyped]  # likewise

from midstage.contracts.errors import UnreadableError
from midstage.eventlog.arrow.columns import Coded, Plain
from midstage.eventlog.arrow.frames import DECODED_BYTES

TEXT = 1024
"""The most characters of a text whose fact has no limit of its own."""

Whole = Literal["i", "q", "B"]
"""int32, int64 and bytes, as the struct module calls them."""
_INT32, _INT64, _DOUBLE = pa.int32(), pa.int64(), pa.float64()
_MOST_BYTES = 4
"""Of one character in UTF-8."""
NONE = float("nan")
"""A duration that is not known."""

_WIDTHS: dict[Whole, int] = {"i": 4, "q": 8, "B": 1}


def textual(of: pa.DataType) -> bool:
    """Whether a column of this type is a text, coded or not."""
    plain = of.value_type if pa.types.is_dictionary(of) else of
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


@dataclass(slots=True)
class Cells:
    """The columns of one batch by name; what is expanded is counted over all of them."""

    columns: dict[str, pa.Array]
    count: int
    expanded: int = field(default=0)  # at most so much
    _columns: list[tuple[pa.Array, pa.Array]] = field(default_factory=list)

    def coded(
        self, name: str, *, least: int = 0, most: int = TEXT, words: Sequence[str] | None = None
    ) -> Coded:
        """A column of texts; all empty where it is absent and may be so."""
        column = self.columns.get(name)
        if column is None:
            self._may_be_absent(name, absent=least == 0 and words is None)
            return Coded(words=("",), codes=zeros("i", self.count))
        found = self.code(name, column, optional=least == 0 and words is None)
        lengths = list(map(len, found.words))
        if any(not least <= length <= most for length in lengths):
            bad = [i for i, length in enumerate(lengths) if not least <= length <= most]
            self._unless_unused(name, found, bad, f"has not {least} to {most} characters")
        if words is not None:
            bad = [i for i, word in enumerate(found.words) if word not in words]
            self._unless_unused(name, found, bad, f"is none of {', '.join(words)}")
        return found

    def code(self, name: str, column: pa.Array, *, optional: bool) -> Coded:
        """The texts of ``column``, each once, and what points to them."""
        if not textual(column.type):
            raise UnreadableError(f"column {name} is no text but {column.type}")
        if pa.types.is_dictionary(column.type):
            indices, said = column.indices, column.dictionary
            if said.null_count:
                raise UnreadableError(f"column {name} has a dictionary that holds null")
        else:
            indices, said = None, column
        if not optional and column.null_count:
            self.must(pc.is_valid(column), name, "is null")
        if indices is None:
            encoded = filled(said, "").dictionary_encode()
            words, codes = encoded.dictionary, encoded.indices
        else:
            if indices.null_count:
                said = pa.concat_arrays([said, pa.array([""], said.type)])
                indices = pc.fill_null(indices.cast(pa.int64()), len(said) - 1)
            encoded = said.dictionary_encode()
            words = encoded.dictionary
            codes = indices if len(words) == len(said) else encoded.indices.take(indices)
        known = tuple(words.to_pylist())
        self._expand(name, words, codes, longest=_MOST_BYTES * max(map(len, known), default=0))
        return Coded(words=known, codes=view(as_type(codes, _INT32), "i"))

    def texts(self, name: str, *, least: int = 0, most: int = TEXT) -> Plain:
        """A column of texts that rarely repeat."""
        column = self.columns.get(name)
        if column is None:
            self._may_be_absent(name, absent=least == 0)
            return Plain(offsets=zeros("i", self.count + 1), content=memoryview(b""))
        if not textual(column.type) or pa.types.is_dictionary(column.type):
            raise UnreadableError(f"column {name} is no plain text but {column.type}")
        if least == 0:
            column = filled(column, "")
        if column.null_count or not within(pc.binary_length(column), least, most):
            lengths = pc.utf8_length(column)  # a character has a byte at least, so it may fit
            self.must(between(lengths, least, most), name, f"has not {least} to {most} characters")
        return plain(as_type(column, pa.string()))

    def whole(
        self, name: str, least: int, most: int, *, kind: Whole = "q", absent: int | None = 0
    ) -> memoryview:
        """A column of whole numbers; ``absent`` stands where there is none, None: there must be."""
        column = self.columns.get(name)
        if column is None:
            self._may_be_absent(name, absent=absent is not None)
            return zeros(kind, self.count)
        if not pa.types.is_integer(column.type):
            raise UnreadableError(f"column {name} is no whole number but {column.type}")
        wide = as_type(column, _INT64)
        self._within(wide, name, least, most, optional=absent is not None)
        wide = filled(wide, absent or 0)
        return view(wide.cast(_INT32) if kind == "i" else wide, kind)

    def milliseconds(
        self, name: str, *, most: float, absent: float | None = NONE
    ) -> "memoryview[float]":
        """A column of durations; ``absent`` stands where there is none, None: there must be."""
        column = self.columns.get(name)
        if column is None:
            self._may_be_absent(name, absent=absent is not None)
            return doubles(pa.array([absent] * self.count, pa.float64()))
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            raise UnreadableError(f"column {name} is no number but {column.type}")
        wide = as_type(column, _DOUBLE)
        self._within(wide, name, 0.0, most, optional=absent is not None)
        return doubles(filled(wide, NONE if absent is None else absent))

    def flags(self, name: str) -> memoryview:
        """A column of true and false, false where there is none, as bytes."""
        column = self.columns.get(name)
        if column is None:
            return zeros("B", self.count)
        if not pa.types.is_boolean(column.type):
            raise UnreadableError(f"column {name} is neither true nor false but {column.type}")
        return view(filled(column, fill_value=False).cast(pa.uint8()), "B")

    def must(self, fine: pa.Array, name: str, why: str) -> None:
        """UnreadableError with the index of the first event whose flag is not true."""
        at = wrong(fine)
        if at >= 0:
            raise UnreadableError(f"event {at}: {name} {why}")

    def _within(
        self, wide: pa.Array, name: str, least: float, most: float, *, optional: bool
    ) -> None:
        if (optional or not wide.null_count) and within(wide, least, most):
            return
        fine = between(wide, least, most)
        self.must(filled(fine, fill_value=True) if optional else fine, name, _range(least, most))

    def _unless_unused(self, name: str, found: Coded, bad: Sequence[int], why: str) -> None:
        wrong = set(bad)
        at = next((i for i, code in enumerate(found.codes) if code in wrong), None)
        if at is not None:
            said = found.words[found.codes[at]][:40]
            raise UnreadableError(f"event {at}: {name} {said!r} {why}")

    def _may_be_absent(self, name: str, *, absent: bool) -> None:
        if not absent:
            raise UnreadableError(f"column {name} is missing")

    def _expand(self, name: str, words: pa.Array, codes: pa.Array, *, longest: int) -> None:
        """Asked exactly only when it may be too much."""
        self._columns.append((words, codes))
        self.expanded += longest * len(codes)
        if self.expanded <= DECODED_BYTES:
            return
        self.expanded = sum(starmap(_expanded, self._columns))
        if self.expanded > DECODED_BYTES:
            raise UnreadableError(f"more than {DECODED_BYTES} bytes of text, up to column {name}")


def zeros(kind: Whole, count: int) -> memoryview:
    """So many zeros."""
    return memoryview(bytes(_WIDTHS[kind] * count)).cast(kind)


def view(column: pa.Array, kind: Whole) -> memoryview:
    """The items of a column without nulls."""
    return _items(column, _WIDTHS[kind]).cast(kind)


def doubles(column: pa.Array) -> "memoryview[float]":
    """The items of a column of float64 without nulls."""
    return _items(column, 8).cast("d")


def plain(column: pa.Array) -> Plain:
    """The texts of a column of strings without nulls, end to end."""
    _, held, content = column.buffers()
    offsets = memoryview(held).cast("i")[column.offset : column.offset + len(column) + 1]
    first, last = offsets[0], offsets[-1]
    if first:
        moved = pa.Array.from_buffers(pa.int32(), len(offsets), [None, pa.py_buffer(offsets)])
        offsets = view(pc.subtract(moved, pa.scalar(first, pa.int32())), "i")
    said = memoryview(b"") if content is None else memoryview(content).cast("B")[first:last]
    return Plain(offsets=offsets, content=said)


def _items(column: pa.Array, width: int) -> memoryview:
    held = column.buffers()[1]
    if held is None or not len(column):
        return memoryview(b"")
    begin = column.offset * width
    return memoryview(held).cast("B")[begin : begin + len(column) * width]


def filled(column: pa.Array, fill_value: float | str) -> pa.Array:
    """The column with this where nothing is."""
    return pc.fill_null(column, fill_value) if column.null_count else column


def as_type(column: pa.Array, of: pa.DataType) -> pa.Array:
    """The column as one of this type; ValueError where a value does not fit."""
    return column if column.type == of else column.cast(of)


def wrong(fine: pa.Array) -> int:
    """Where the first flag is that is not true, -1 where all are."""
    if pc.all(fine, skip_nulls=False).as_py():
        return -1
    at: int = pc.index(filled(fine, fill_value=False), pa.scalar(value=False)).as_py()
    return at


def within(column: pa.Array, least: float, most: float) -> bool:
    """Whether all values that are there are: asked at once, and never true where one is NaN."""
    ends = pc.min_max(column).as_py()
    if ends["min"] is None:
        return bool(column.null_count == len(column))
    if not least <= ends["min"] <= ends["max"] <= most:
        return False
    return not pa.types.is_floating(column.type) or not math.isnan(pc.sum(column).as_py())


def between(column: pa.Array, least: float, most: float) -> pa.Array:
    """False for NaN too, which no comparison holds for."""
    return pc.and_(pc.greater_equal(column, least), pc.less_equal(column, most))


def _expanded(words: pa.Array, codes: pa.Array) -> int:
    lengths = pc.binary_length(words).cast(_INT64)
    return pc.sum(lengths.take(codes)).as_py() or 0


def _range(least: float, most: float) -> str:
    return f"is not between {least:g} and {most:g}"
