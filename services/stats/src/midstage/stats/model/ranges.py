"""The numbers of a source as ranges: each counts once, in any order, and a hole has a name."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

Span = tuple[int, int]
"""The first and the last number of a run without a hole."""

_ABOVE_ALL = 2**63


@dataclass(frozen=True, slots=True)
class Ranges:
    """Numbers as disjoint spans in ascending order, no two of which touch."""

    spans: tuple[Span, ...] = ()

    def __contains__(self, number: int) -> bool:
        """Whether the number is there."""
        at = bisect_right(self.spans, (number, _ABOVE_ALL)) - 1
        return at >= 0 and number <= self.spans[at][1]

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(last - first + 1 for first, last in self.spans)

    @property
    def most(self) -> int:
        """The highest number, 0 where there is none."""
        return self.spans[-1][1] if self.spans else 0

    def holes(self, upto: int) -> tuple[Span, ...]:
        """The numbers from 1 to ``upto`` that are not there, as spans."""
        found: list[Span] = []
        expected = 1
        for first, last in self.spans:
            if first > upto:
                break
            if first > expected:
                found.append((expected, first - 1))
            expected = last + 1
        if expected <= upto:
            found.append((expected, upto))
        return tuple(found)

    def complete(self, upto: int) -> bool:
        """Whether every number from 1 to ``upto`` is there."""
        return upto <= 0 or (bool(self.spans) and self.spans[0][0] == 1 <= upto <= self.spans[0][1])

    def then(self, run: Span) -> "Ranges":
        """With a run that lies above all of them."""
        return _with(self, [run])


NO_NUMBERS = Ranges()


def admitted(seen: Ranges, numbers: Numbers) -> tuple[Flags, Ranges]:
    """Of each number whether it is new, in the order given, and the ranges with all of them.

    A number that comes twice among ``numbers`` is new where it comes first.
    """
    distinct, first_at = np.unique(numbers, return_index=True)
    fresh = ~_held(seen, distinct)
    news = np.zeros(len(numbers), np.bool_)
    news[first_at[fresh]] = True
    return news, _with(seen, _runs(distinct[fresh]))


def _held(seen: Ranges, numbers: Numbers) -> Flags:
    if not seen.spans:
        return np.zeros(len(numbers), np.bool_)
    spans = np.array(seen.spans, np.int64)
    at = np.searchsorted(spans[:, 0], numbers, side="right") - 1
    held: Flags = (at >= 0) & (numbers <= spans[at, 1])
    return held


def _runs(ascending: Numbers) -> list[Span]:
    """Distinct ascending numbers as spans."""
    if not len(ascending):
        return []
    breaks = np.flatnonzero(np.diff(ascending) != 1)
    firsts = ascending[np.concatenate(([0], breaks + 1))]
    lasts = ascending[np.concatenate((breaks, [len(ascending) - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _with(seen: Ranges, runs: list[Span]) -> Ranges:
    """The ranges with runs of numbers that they don't hold."""
    if not runs:
        return seen
    spans = list(seen.spans)
    if spans and runs[0][0] <= spans[-1][1]:
        spans = sorted((*spans, *runs))
        runs = spans[1:]
        spans = spans[:1]
    for first, last in runs:
        if spans and spans[-1][1] == first - 1:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return Ranges(tuple(spans))
