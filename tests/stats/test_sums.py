"""Any rows have the sums that adding them up one by one gives, however large and however spread."""

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.stats.adapters.columns import minutes
from midstage.stats.decide.sums import MINUTE_US, sums
from midstage.stats.model import METERED, NO_ROWS, REQUEST, Amounts, Rows, Sums, Texts, Words
from midstage.stats.model.groups import grouped, mixed

Line = tuple[int, str, str, str, int, int, bool, dict[str, int]]
Sum = tuple[int, str, str, str, str]

words = st.sampled_from(["", "a", "b"])
sizes = st.sampled_from([0, 1, 2**40, 2**62])
lines = st.tuples(
    st.integers(-3, 3).map(lambda n: n * MINUTE_US // 2),
    words,
    words,
    st.sampled_from(["", "ok", "error"]),
    sizes,
    sizes,
    st.booleans(),
    st.dictionaries(st.sampled_from("xyz"), st.sampled_from([0, 7, 2**32, 2**63 - 1]), max_size=3),
)


def rows_of(said: list[Line]) -> Rows:
    at, customer, app, outcome, came, went, billed, usage = zip(*said, strict=True)
    count, no_text = len(said), Words.same("", len(said))
    units = [(row, name, n) for row, held in enumerate(usage) for name, n in held.items()]
    return replace(
        NO_ROWS,
        kind=Words.of([REQUEST if one else METERED for one in outcome]),
        source=no_text,
        seq=np.arange(1, count + 1),
        id=Texts.of([""] * count),
        time=np.array(at, np.int64),
        customer=Words.of(customer),
        app=Words.of(app),
        endpoint=no_text,
        revision=no_text,
        outcome=Words.of(outcome),
        bytes_in=np.array(came, np.int64),
        bytes_out=np.array(went, np.int64),
        billed=np.array(billed, np.bool_),
        usage=Amounts(
            rows=np.array([row for row, _, _ in units], np.int64),
            names=Words.of([name for _, name, _ in units]),
            micros=np.array([n for _, _, n in units], np.int64),
        ),
    )


def test_combinations_are_told_apart_also_where_there_could_be_more_than_64_bits() -> None:
    high = 2**31
    columns = [np.array(column) for column in ((0, high, 0, high), (0, 0, high, high))]
    mixes = grouped(mixed([*columns, *columns, np.array((1, 1, 1, 1))]))[0]
    assert len(set(mixes.tolist())) == 4
    assert mixed([*columns, *columns, *columns]).min() >= 0


def one_by_one(said: list[Line]) -> Counter[Sum]:
    found: Counter[Sum] = Counter()
    for at, customer, app, outcome, came, went, billed, usage in said:
        cell = (at // MINUTE_US * MINUTE_US, customer, app)
        parts = [("outcome", outcome, 1)] if outcome else []
        parts += [("unit", name, n) for name, n in usage.items() if billed]
        parts += [("bytes", way, n) for way, n in (("in", came), ("out", went)) if n]
        for kind, name, n in parts:
            found[(*cell, kind, name)] += n
    return found


def told(held: Sums) -> list[tuple[Sum, int]]:
    columns = (held.minute.tolist(), held.customer, held.app, held.kind, held.name)
    return list(zip(zip(*columns, strict=True), held.amount.tolist(), strict=True))


SPREAD: list[Line] = [
    (n % 10 * MINUTE_US, f"customer-{n}", f"app-{n}", "ok", n, 0, True, {"x": n})
    for n in range(100)
]
"""More combinations of these than a table has room for."""


@settings(deadline=None)
@given(said=st.lists(lines, min_size=1, max_size=60), more=st.sampled_from([[], SPREAD]))
def test_each_cell_has_what_its_rows_add_up_to(said: list[Line], more: list[Line]) -> None:
    held = sums(rows_of([*more, *said, *more]))
    assert sorted(told(held)) == sorted(one_by_one([*more, *said, *more]).items())
    written = minutes(held, version=1).column("amount").to_pylist()
    assert [int(amount) for amount in written] == held.amount.tolist()
