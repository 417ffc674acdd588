"""Texts end to end are the same column as a list of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.stats.adapters.columns import texts
from midstage.stats.model import Texts, Words

COLUMN = st.lists(st.text(max_size=5), max_size=8)


@given(COLUMN)
def test_a_column_says_its_texts(said: list[str]) -> None:
    column = Texts.of(said)
    assert (len(column), list(column)) == (len(said), said)
    assert [column[row] for row in range(len(said))] == said
    assert texts(column).to_pylist() == said


@given(st.lists(COLUMN, min_size=1, max_size=4))
def test_columns_stand_one_after_another(parts: list[list[str]]) -> None:
    assert list(Texts.joined([Texts.of(part) for part in parts])) == [
        text for part in parts for text in part
    ]


@given(COLUMN, st.data())
def test_rows_are_taken_in_any_order(said: list[str], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(st.sampled_from(range(len(said))), max_size=9) if said else st.just([])
    )
    taken = Texts.of(said).taken(np.array(rows, np.int64))
    assert list(taken) == [said[row] for row in rows]
    assert list(Texts.joined([taken, taken])) == 2 * [said[row] for row in rows]


@pytest.mark.parametrize("said", [["b", "a", "b"], ["a", "a"], [""]])
def test_words_are_kept_once_in_the_order_in_which_they_come(said: list[str]) -> None:
    column = Words.of(said)
    assert list(column) == said
    assert column.words == tuple(dict.fromkeys(said))
