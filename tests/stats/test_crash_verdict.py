"""What a crash run holds against each other at its end, and that its client sends whole lines."""

from collections import Counter
from pathlib import Path

import pytest

from tests.bench.crash import told
from tests.crash import client
from tests.crash.asked import Recounted, Stated
from tests.crash.client import Spool
from tests.crash.deeds import edge_places, shard_places, spared
from tests.crash.verdict import (
    Evidence,
    Verdict,
    Woken,
    copies,
    recount_wrong,
    statement_wrong,
)

CLIENT = "clients/0"
NAMES = {("edges/a", "1"), ("edges/a", "2"), (CLIENT, "e1")}
SUMS = Counter({("acme", "ocr", "outcome", "ok"): 3})


def test_a_recount_has_the_rows_of_the_ledgers_and_no_difference() -> None:
    assert recount_wrong(Recounted(rows=3, whole=3, differences=()), 3) == []
    (by_day,) = recount_wrong(Recounted(rows=2, whole=3, differences=()), 3)
    assert by_day == "a recount by day has 2 rows, the ledgers have 3"
    (differs,) = recount_wrong(Recounted(rows=3, whole=3, differences=("minutes x",)), 3)
    assert differs == "a recount differs from the ledgers: minutes x"
    assert recount_wrong(None, 3) == ["the rows were not counted again"]


def test_a_statement_has_the_accepted_rows_and_the_true_sums() -> None:
    rows = Counter({"edges/a": 2, CLIENT: 1})
    assert statement_wrong(Stated(rows=rows, sums=SUMS, remade=True), NAMES, SUMS) == []
    lost = Stated(rows=rows - Counter({"edges/a": 1}), sums=SUMS, remade=True)
    (said,) = statement_wrong(lost, NAMES, SUMS)
    assert said == "1 sources of the statement differ: edges/a is 1, truly 2"
    less = Stated(rows=rows, sums=Counter(), remade=False)
    again, sums = statement_wrong(less, NAMES, SUMS)
    assert again == "raw rows make another statement than the one that stands"
    assert "sums of the statement differ" in sums
    assert statement_wrong(None, NAMES, SUMS) == ["there is no statement"]


def hurt(*, redelivered: int = 1, resent: int = 3, **late: int) -> Evidence:
    """A run that has all that it must; of ``late`` by who was woken less, where that is said."""
    all_late = {"shard": 1, "edge": 1, "client": 1, **late}
    return Evidence(kills={}, redelivered=redelivered, resent=resent, late=all_late)


@pytest.mark.parametrize(
    ("evidence", "lacks"),
    [
        (hurt(redelivered=0), "redelivered"),
        (hurt(resent=0), "resent"),
        (hurt(shard=0), "late, of a woken shard"),
        (hurt(edge=0), "late, of a woken edge"),
        (hurt(client=0), "late, of a woken client"),
    ],
)
def test_a_run_that_did_not_hurt_proves_nothing(evidence: Evidence, lacks: str) -> None:
    assert evidence.lacking() == [lacks]
    assert told(_right(evidence)) == 1
    assert hurt().lacking() == []
    assert told(_right(hurt())) == 0


def test_a_late_copy_is_the_doing_of_who_was_woken_last_before_it() -> None:
    woken = [
        Woken(who="shard", ends={0: 2, 1: 1}),
        Woken(who="edge", ends={0: 4, 1: 1}),
        Woken(who="client", ends={0: 4, 1: 2}),
    ]
    log = [
        ((CLIENT, "e1"), 0, 0),
        ((CLIENT, "e1"), 0, 1),  # a copy before anybody woke
        ((CLIENT, "e1"), 0, 2),  # of the woken shard
        ((CLIENT, "e2"), 0, 3),
        ((CLIENT, "e2"), 0, 4),  # of the client, who woke last: the edge's other partition ended
        ((CLIENT, "e3"), 0, 5),
        ((CLIENT, "e3"), 0, 6),  # its first is no older than the last waking
        (("edges/a", "1"), 1, 0),
        (("edges/a", "1"), 1, 1),  # of the edge
    ]
    assert copies(log, woken) == (5, {"shard": 1, "client": 1, "edge": 1})
    assert copies(log, []) == (5, {})


def test_places_where_nobody_died_are_named() -> None:
    everywhere = {f"shard {place}": 1 for place in shard_places()}
    everywhere |= {f"edge {place}": 1 for place in edge_places()}
    everywhere |= {"client client:sent": 1, "client client:acknowledged": 1}
    assert spared(everywhere) == []
    assert spared({**everywhere, "shard ingest:sent": 0}) == ["shard ingest:sent"]


def test_what_is_wrong_fails_the_run_however_much_it_hurt() -> None:
    assert told(_right(hurt(), "1 in the log, not in the ledger")) == 1


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
