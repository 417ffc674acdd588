"""Columns of texts and of parts of rows: what repeats is kept once and pointed to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
"""Shape (n, 2): 128 bits for each ``(source, id)``; equal ones are taken for the same event."""


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
        code_of = {text: code for code, text in enumerate(dict.fromkeys(texts))}
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


def _kept(owners: Longs, rows: Longs) -> tuple[Longs, Longs]:
    """Which parts belong to ``rows`` (ascending), and the places of their owners among them."""
    at = np.searchsorted(rows, owners)
    inside = np.flatnonzero(np.append(rows, -1)[at] == owners)
    return inside, at[inside]


def _moved(owners: Sequence[Longs], begins: Sequence[int]) -> Longs:
    moved = [rows + begin for rows, begin in zip(owners, begins, strict=True)]
    return np.concatenate(moved)
