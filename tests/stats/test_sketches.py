"""Sketches of many groups at once are those that contracts makes of each."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.sketch import ACCURACY, EMPTY, SMALLEST, count, merged, quantile, sketch
from midstage.stats.views.sketches import sketches

GROUPS = 4
values = st.one_of(st.floats(SMALLEST, 1e10), st.floats(0, SMALLEST, exclude_max=True))
samples = st.lists(st.tuples(st.integers(0, GROUPS - 1), values | st.just(math.nan)), max_size=80)


@given(samples, st.floats(0, 1))
def test_each_group_has_its_values_within_one_per_cent(
    said: list[tuple[int, float]], q: float
) -> None:
    found = sketches(
        np.array([group for group, _ in said], np.int64),
        np.array([value for _, value in said], np.float64),
        count=GROUPS,
    )
    for group, held in enumerate(found):
        exact = sorted(v for of, v in said if of == group and not math.isnan(v))
        assert count(held) == len(exact)
        told = quantile(held, q)
        if not exact:
            assert held == EMPTY
            continue
        wanted = exact[math.floor(q * (len(exact) - 1))]
        assert told is not None
        assert abs(told - wanted) <= (0 if wanted < SMALLEST else wanted * (ACCURACY + 1e-9)) or (
            wanted < SMALLEST and told == 0
        )


def test_they_merge_with_those_that_contracts_makes() -> None:
    (one,) = sketches(np.zeros(3, np.int64), np.array([0.0, 3.5, 700.0]), count=1)
    assert one == sketch([0.0, 3.5, 700.0])
    assert merged(one, sketch([9.0])) == sketch([0.0, 3.5, 700.0, 9.0])
