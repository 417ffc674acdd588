"""Rows leave a ledger that has little memory, however they lie among others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from midstage.stats.adapters import merging
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.merging import Merging

from .conftest import NOON, decided, request

MEMORY_MB = 24
MINUTES = 50
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TWO_AND_TWO = """
INSERT INTO minutes
SELECT TIMESTAMP '2026-01-01' + to_minutes(range // 120000 * 2 + range % 2), 'acme', 'chat', '/v1',
    'r1', 'unit', 'tokens', 1, 1
FROM range(3000000)
"""
"""Three million sums: each minute's lie between those of the one beside it."""


def test_what_deleting_pins_is_given_back_before_it_is_all_of_the_memory(tmp_path: Path) -> None:
    """DuckDB would keep 24 MB for it, of a ledger that has 24; it died of that, or with it."""
    ledger = DuckdbLedger(tmp_path / "l.duckdb", now=lambda: NOON, memory_mb=MEMORY_MB)
    with ledger.writing() as writing:
        writing.db.execute(TWO_AND_TWO)
    for n in range(MINUTES):
        minute = (BEGIN + n * timedelta(minutes=1)).replace(tzinfo=None)
        with ledger.writing() as writing:
            assert writing.delete("minutes", "minute = $minute", {"minute": minute}) == 60_000
    with ledger.reading() as db:
        assert db.execute("SELECT count(*) FROM minutes").fetchall() == [(0,)]
    ledger.close()


def test_sums_that_lie_too_far_apart_are_not_taken_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = DuckdbLedger(tmp_path / "l.duckdb", now=lambda: NOON)
    for seq in (1, 2):
        ledger.commit(decided(ledger, [request("edges/e/a", seq)]), begins={}, ends={})
    with ledger.writing() as writing:
        there = writing.pinning("minutes", "TRUE", {})
    monkeypatch.setattr(merging, "PINNED", there - 1)
    late = NOON + timedelta(hours=2)
    assert Merging(ledger)(before=late) == 0
    monkeypatch.setattr(merging, "PINNED", there)
    ledger.commit(decided(ledger, [request("edges/e/a", 3)]), begins={}, ends={})
    assert Merging(ledger)(before=late) > 0
    ledger.close()
