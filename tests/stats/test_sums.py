"""Sums by minute become the same sums by hour, whatever the minutes and however large."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.stats.decide.sums import HOUR_US, MINUTE_US, by_hour
from midstage.stats.model import Sums, Words

Cell = tuple[int, str, str, str, str, str, str]

words = st.sampled_from(["", "a", "b"])
cells = st.tuples(
    st.integers(min_value=-90, max_value=150).map(lambda minute: minute * MINUTE_US),
    *[words] * 6,
)
amounts = st.integers(min_value=0, max_value=2**70)


def sums_of(held: dict[Cell, int]) -> Sums:
    minutes, *texts = zip(*held, strict=True)
    customer, app, endpoint, revision, kind, name = map(Words.of, texts)
    return Sums(
        minute=np.array(minutes, np.int64),
        customer=customer,
        app=app,
        endpoint=endpoint,
        revision=revision,
        kind=kind,
        name=name,
        amount=list(held.values()),
    )


def told(sums: Sums) -> list[tuple[Cell, int]]:
    texts = (sums.customer, sums.app, sums.endpoint, sums.revision, sums.kind, sums.name)
    return list(zip(zip(sums.minute.tolist(), *texts, strict=True), sums.amount, strict=True))


@settings(deadline=None)
@given(st.dictionaries(cells, amounts, min_size=1, max_size=60))
def test_each_cell_of_an_hour_has_the_sum_of_its_minutes(held: dict[Cell, int]) -> None:
    expected: Counter[Cell] = Counter()
    for cell, amount in held.items():
        expected[(cell[0] // HOUR_US * HOUR_US, *cell[1:])] += amount
    assert sorted(told(by_hour(sums_of(held)))) == sorted(expected.items())


def test_sums_of_one_minute_are_those_of_its_hour() -> None:
    one = {(61 * MINUTE_US, name, "", "", "", "", ""): 2**70 for name in "ab"}
    hour = [((HOUR_US, name, "", "", "", "", ""), 2**70) for name in "ab"]
    assert told(by_hour(sums_of(one))) == hour
