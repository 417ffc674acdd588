"""A source's numbers as ranges: each is new once, in any order, and what is missing has a name."""

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from midstage.stats.model import Longs, Ranges, admitted

numbers = st.lists(st.integers(min_value=1, max_value=60), max_size=120)


def ranges(*given_numbers: int) -> Ranges:
    return admitted(Ranges(), column(given_numbers))[1]


def column(numbers: Sequence[int]) -> Longs:
    return np.array(numbers, np.int64)


def test_lines_of_a_file_are_one_span() -> None:
    assert ranges(1, 2, 3, 4).spans == ((1, 4),)


def test_a_number_between_two_spans_joins_them() -> None:
    assert ranges(1, 2, 4, 5, 3).spans == ((1, 5),)


def test_a_hole_has_a_name_also_before_the_first_and_after_the_last() -> None:
    seen = ranges(3, 4, 8)
    assert seen.holes(10) == ((1, 2), (5, 7), (9, 10))
    assert not seen.complete(4)
    assert ranges(1, 2, 3).complete(3)
    assert not ranges(1, 2, 3).complete(4)


def test_the_next_lines_of_a_file_that_began_with_a_hole_leave_the_hole() -> None:
    news, seen = admitted(ranges(3, 4), column((5, 6, 7)))
    assert news.tolist() == [True, True, True]
    assert seen.spans == ((3, 7),)
    assert admitted(seen, column((1, 2)))[1].spans == ((1, 7),)


def test_nothing_is_complete_up_to_zero() -> None:
    assert Ranges().complete(0)
    assert not Ranges().complete(1)


@given(numbers, numbers)
def test_each_number_is_new_exactly_once(first: list[int], then: list[int]) -> None:
    news_first, seen = admitted(Ranges(), column(first))
    news_then, after = admitted(seen, column(then))
    known: set[int] = set()
    for number, new in zip([*first, *then], [*news_first, *news_then], strict=True):
        assert new == (number not in known)
        known.add(number)
    assert after.count == len(known)
    assert after.most == max(known, default=0)
    assert all((number in after) == (number in known) for number in range(62))


@given(numbers, st.permutations(range(120)))
def test_the_order_does_not_matter(given_numbers: list[int], order: list[int]) -> None:
    other = [given_numbers[at] for at in order if at < len(given_numbers)]
    assert admitted(Ranges(), column(given_numbers))[1] == ranges(*other)


@given(numbers, st.integers(min_value=0, max_value=70))
def test_holes_are_what_is_missing(given_numbers: list[int], upto: int) -> None:
    seen = ranges(*given_numbers)
    missing = {n for first, last in seen.holes(upto) for n in range(first, last + 1)}
    assert missing == set(range(1, upto + 1)) - set(given_numbers)
    assert seen.complete(upto) == (not missing)


@given(numbers)
def test_spans_are_apart_and_ascending(given_numbers: list[int]) -> None:
    spans = ranges(*given_numbers).spans
    assert all(first <= last for first, last in spans)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(spans))
