"""Whatever is asked of a ledger that memory does not hold is refused, and counting goes on."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from midstage.contracts.errors import RefusedError
from midstage.stats.adapters.recount import Recount
from midstage.stats.decide.periods import Accepted
from midstage.stats.views.availability import query
from midstage.stats.views.rows import RowsQuery

from .conftest import request
from .periods import NOVEMBER, Shard

MANY = """
INSERT INTO requests
SELECT i + 1 AS row, 'request' AS kind, concat(i, repeat('s', 500)) AS source, 1 AS seq,
    concat(i, repeat('i', 2000)) AS id, TIMESTAMP '2026-11-15 12:00:00' AS time,
    concat(i, repeat('c', 500)) AS customer, concat(i, repeat('a', 500)) AS app, '' AS endpoint,
    '' AS revision, 200 AS status, 'ok' AS outcome, 1 AS duration_ms, NULL AS queue_ms,
    NULL AS ttft_ms, 1 AS bytes_in, 1 AS bytes_out, MAP {'input_tokens': 1000000} AS usage,
    TRUE AS billed, FALSE AS estimated, MAP {} AS labels, '' AS ref, '' AS cluster, '' AS pod,
    '' AS trace_id, TIMESTAMP '2026-11-15 12:00:01' AS recorded_at, 0 AS version
FROM range(40_000) AS numbers(i)
"""
SUMMED = """
INSERT INTO minutes
SELECT time, customer, app, endpoint, revision, 'outcome', outcome, 1, 0 FROM requests
"""
HOURS = "INSERT INTO source_hours SELECT source, time, 1, 0, 0, 0 FROM requests"
COUNTED = (
    "UPDATE heads SET row = 40_000",
    """UPDATE sealed SET part = replace(part, '"row":0,', '"row":40000,')""",
)
NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    """Much in its file, and too little memory for most of it, with nowhere else to put it."""
    shard = Shard(directory=tmp_path)
    shard.periods.seal(NOVEMBER, Accepted())
    for statement in (MANY, SUMMED, HOURS, *COUNTED):
        with shard.ledger.writing() as writing:
            writing.db.execute(statement)
    shard.ledger.close()
    shard.open(memory_mb=16)
    with shard.ledger.reading() as db:
        db.execute("SET max_temp_directory_size = '0KiB'")
    yield shard
    shard.ledger.close()


QUESTIONS: dict[str, Callable[[Shard], object]] = {
    "rows": lambda shard: shard.ledger.queries().rows(RowsQuery(limit=10_000)),
    "tallies": lambda shard: shard.ledger.queries().tallies(
        query(app=None, since=None, until=None, by="app")
    ),
    "completeness": lambda shard: shard.periods.counted(),
    "gaps": lambda shard: shard.periods.gaps(NOVEMBER),
    "recount of a day": lambda shard: Recount(shard.archive).day(date.min),
    "recount of the whole": lambda shard: Recount(shard.archive).whole(),
    "statement again": lambda shard: shard.periods.remade(NOVEMBER.name),
}


@pytest.mark.slow
def test_what_memory_does_not_hold_is_refused_and_counting_goes_on(shard: Shard) -> None:
    for name, question in QUESTIONS.items():
        with pytest.raises(RefusedError, match="MIDSTAGE_STATS_LEDGER_MEMORY_MB") as refused:
            question(shard)
        assert refused.value.status == 422, name
        assert isinstance(refused.value.__cause__, duckdb.OutOfMemoryException), name
    shard.count(request("edges/edge-1/a", 1, time=NOON, customer="acme"))
    found = shard.ledger.queries().rows(RowsQuery(after=40_000))
    assert [row.customer for row in found.requests] == ["acme"]
