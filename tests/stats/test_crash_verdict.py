"""What a crash run holds against each other at its end: one that differs is named."""

from collections import Counter

from tests.crash.asked import Recounted, Stated
from tests.crash.verdict import recount_wrong, statement_wrong

NAMES = {("edges/a", "1"), ("edges/a", "2"), ("clients/0", "e1")}
SUMS = Counter({("acme", "ocr", "outcome", "ok"): 3})


def test_a_recount_has_the_rows_of_the_ledgers_and_no_difference() -> None:
    assert recount_wrong(Recounted(rows=3, whole=3, differences=()), 3) == []
    (by_day,) = recount_wrong(Recounted(rows=2, whole=3, differences=()), 3)
    assert by_day == "a recount by day has 2 rows, the ledgers have 3"
    (differs,) = recount_wrong(Recounted(rows=3, whole=3, differences=("minutes x",)), 3)
    assert differs == "a recount differs from the ledgers: minutes x"
    assert recount_wrong(None, 3) == ["the rows were not counted again"]


def test_a_statement_has_the_accepted_rows_and_the_true_sums() -> None:
    rows = Counter({"edges/a": 2, "clients/0": 1})
    assert statement_wrong(Stated(rows=rows, sums=SUMS, remade=True), NAMES, SUMS) == []
    lost = Stated(rows=rows - Counter({"edges/a": 1}), sums=SUMS, remade=True)
    (said,) = statement_wrong(lost, NAMES, SUMS)
    assert said == "1 sources of the statement differ: edges/a is 1, truly 2"
    less = Stated(rows=rows, sums=Counter(), remade=False)
    again, sums = statement_wrong(less, NAMES, SUMS)
    assert again == "raw rows make another statement than the one that stands"
    assert "sums of the statement differ" in sums
    assert statement_wrong(None, NAMES, SUMS) == ["there is no statement"]
