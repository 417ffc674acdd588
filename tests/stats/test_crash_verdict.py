"""What a crash run holds against each other at its end, and that its client sends whole lines."""

from collections import Counter
from pathlib import Path

import pytest

from tests.bench.crash import told
from tests.crash import client
from tests.crash.asked import Recounted, Stated
from tests.crash.client import Spool
from tests.crash.verdict import Evidence, Verdict, recount_wrong, statement_wrong

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


@pytest.mark.parametrize("absent", ["redelivered", "resent", "late"])
def test_a_run_that_did_not_hurt_proves_nothing(absent: str) -> None:
    times = {"redelivered": 1, "resent": 1, "late": 1}
    hurt, not_hurt = (Evidence(kills={}, **{**times, absent: n}) for n in (1, 0))
    assert hurt.lacking() == []
    assert not_hurt.lacking() == [absent]
    assert told(_right(hurt)) == 0
    assert told(_right(not_hurt)) == 1


def test_what_is_wrong_fails_the_run_however_much_it_hurt() -> None:
    hurt = Evidence(kills={}, redelivered=1, resent=1, late=1)
    assert told(_right(hurt, "1 in the log, not in the ledger")) == 1


def _right(evidence: Evidence, *wrong: str) -> Verdict:
    return Verdict(
        accepted=1, rows=1, cells=1, recounted=1, stated=1, evidence=evidence, wrong=wrong
    )


def test_a_line_that_is_being_written_is_not_sent_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.add([b"one"])
    with (tmp_path / "spool").open("ab") as file:
        file.write(b"tw")

    def written_meanwhile(line: bytes) -> bool:
        if line == b"tw":
            with (tmp_path / "spool").open("ab") as rest:
                rest.write(b"o\n")
        return line.endswith(b"\n")

    monkeypatch.setattr(client, "whole", written_meanwhile)
    assert spool.waiting() == [b"one"]
    spool.done()
    assert spool.waiting() == [b"two"]
    assert spool.acknowledged() == 1
