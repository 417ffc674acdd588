"""Columns of texts and of parts of rows: what repeats is kept once and pointed to."""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int32]
Wholes = npt.NDArray[np.int64] | npt.NDArray[np.object_]
"""Whole numbers, as Python's own where 64 bits are not enough for one of them."""
Octets = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
"""Shape (n, 2): 128 bits for each ``(source, id)``; equal ones are taken for the same event."""


class Codes(defaultdict[str, int]):
    """Numbers words from 0 on, each where it is asked for first: its keys are the words."""

    def __init__(self) -> None:
        """No word has been asked for."""
        super().__init__(count().__next__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words:
    """A column of texts, each kept once: row *i* says ``words[codes[i]]``."""

    words: tuple[str, ...]
    codes: Ints

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        """The text of each row."""
        return map(self.words.__getitem__, self.codes.tolist())

    def __getitem__(self, row: int) -> str:
        """The text of a row."""
        return self.words[int(self.codes[row])]

    def taken(self, rows: Longs) -> "Words":
        """The column with these rows in this order."""
        return Words(words=self.words, codes=self.codes[rows])

    @staticmethod
    def of(texts: Sequence[str]) -> "Words":
        """The column of these texts."""
        if texts and texts.count(texts[0]) == len(texts):
            return Words.same(texts[0], len(texts))
        code_of = Codes()
        codes = np.fromiter(map(code_of.__getitem__, texts), np.int32, len(texts))
        return Words(words=tuple(code_of), codes=codes)

    @staticmethod
    def same(text: str, count: int) -> "Words":
        """A column that says the same ``count`` times."""
        return Words(words=(text,), codes=np.zeros(count, np.int32))

    @staticmethod
    def joined(columns: Sequence["Words"]) -> "Words":
        """One column after another."""
        words = dict.fromkeys(word for column in columns for word in column.words)
        code_of = {word: code for code, word in enumerate(words)}
        codes = [
            np.array([code_of[word] for word in column.words], np.int32)[column.codes]
            for column in columns
        ]
        return Words(words=tuple(words), codes=np.concatenate(codes, dtype=np.int32))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texts:
    """A column of texts that rarely repeat, end to end as UTF-8: no object for each of them.

    Row *i* says what lies from ``offsets[i]`` to ``offsets[i + 1]``; the first offset is 0.
    """

    content: Octets
    offsets: Ints

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[str]:
        """The text of each row."""
        content = self.content.tobytes()
        return (content[begin:end].decode() for begin, end in pairwise(self.offsets.tolist()))

    def __getitem__(self, row: int) -> str:
        """The text of a row."""
        begin, end = self.offsets[row : row + 2].tolist()
        return self.content[begin:end].tobytes().decode()

    def taken(self, rows: Longs) -> "Texts":
        """The column with these rows in this order."""
        begins = self.offsets[:-1][rows]
        offsets = _ends(np.diff(self.offsets)[rows])
        moved = np.repeat(begins - offsets[:-1], np.diff(offsets))
        places = np.arange(len(moved)) + moved
        return Texts(content=self.content[places], offsets=offsets)

    @staticmethod
    def of(texts: Sequence[str]) -> "Texts":
        """The column of these texts."""
        joined = "".join(texts)
        content = np.frombuffer(joined.encode(), np.uint8)
        whole: Sequence[Sized] = texts
        if len(content) != len(joined):
            whole = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, whole), np.int32, len(texts))
        return Texts(content=content, offsets=_ends(lengths))

    @staticmethod
    def joined(columns: Sequence["Texts"]) -> "Texts":
        """One column after another."""
        lengths = [np.diff(column.offsets) for column in columns]
        return Texts(
            content=np.concatenate([column.content for column in columns]),
            offsets=_ends(np.concatenate(lengths)),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Amounts:
    """Micro-units by row and name; a row has any number of them, ``rows`` ascend."""

    rows: Longs
    names: Words
    micros: Longs

    def of(self, row: int) -> dict[str, int]:
        """The micro-units of one row by name."""
        first, last = np.searchsorted(self.rows, (row, row + 1)).tolist()
        return {self.names[at]: int(self.micros[at]) for at in range(first, last)}

    def taken(self, rows: Longs) -> "Amounts":
        """What belongs to these rows, which ascend."""
        inside, owners = _kept(self.rows, rows)
        return Amounts(rows=owners, names=self.names.taken(inside), micros=self.micros[inside])

    @staticmethod
    def joined(columns: Sequence["Amounts"], begins: Sequence[int]) -> "Amounts":
        """One column after another; ``begins`` tells at which row each of them begins."""
        return Amounts(
            rows=_moved([column.rows for column in columns], begins),
            names=Words.joined([column.names for column in columns]),
            micros=np.concatenate([column.micros for column in columns]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Labels by row and name; a row has any number of them, ``rows`` ascend."""

    rows: Longs
    names: Words
    values: Words

    def of(self, row: int) -> dict[str, str]:
        """The labels of one row."""
        first, last = np.searchsorted(self.rows, (row, row + 1)).tolist()
        return {self.names[at]: self.values[at] for at in range(first, last)}

    def taken(self, rows: Longs) -> "Labels":
        """What belongs to these rows, which ascend."""
        inside, owners = _kept(self.rows, rows)
        names, values = self.names.taken(inside), self.values.taken(inside)
        return Labels(rows=owners, names=names, values=values)

    @staticmethod
    def joined(columns: Sequence["Labels"], begins: Sequence[int]) -> "Labels":
        """One column after another; ``begins`` tells at which row each of them begins."""
        return Labels(
            rows=_moved([column.rows for column in columns], begins),
            names=Words.joined([column.names for column in columns]),
            values=Words.joined([column.values for column in columns]),
        )


def _ends(lengths: Ints) -> Ints:
    """Where parts of these lengths end, one after another, and 0 before them."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, dtype=np.int32, out=offsets[1:])
    return offsets


def _kept(owners: Longs, rows: Longs) -> tuple[Longs, Longs]:
    """Which parts belong to ``rows`` (ascending), and the places of their owners among them."""
    at = np.searchsorted(rows, owners)
    inside = np.flatnonzero(np.append(rows, -1)[at] == owners)
    return inside, at[inside]


def _moved(owners: Sequence[Longs], begins: Sequence[int]) -> Longs:
    moved = [rows + begin for rows, begin in zip(owners, begins, strict=True)]
    return np.concatenate(moved)
