"""The peer that stands on the same engine: a bare consume, polars, DuckDB, and nothing besides.

No signature, no range, no position, no fact: what a day's script would do with the topic.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl
from confluent_kafka import Message as Raw

from tests.bench import bare

_MOST = 50_000
_ROWS = """
CREATE TABLE requests AS SELECT id, source, time, data.customer AS customer, data.app AS app,
    data.status AS status, data.outcome AS outcome, data.duration_ms AS duration_ms,
    data.usage AS usage FROM {taken} {limit}
"""
_SUMS = """
INSERT INTO sums SELECT data.customer, data.app, sum(data.usage.input_tokens) FROM taken
GROUP BY ALL
"""


def piped(bootstrap: str, topic: str, count: int, directory: Path) -> float:
    """Events a second into a DuckDB file, rows and one roll-up, a transaction for each chunk."""
    file = Path(tempfile.mkdtemp(prefix="polars-", dir=directory)) / "usage.duckdb"
    db = duckdb.connect(str(file), config={"threads": 2})
    db.execute("CREATE TABLE sums (customer VARCHAR, app VARCHAR, tokens HUGEINT)")
    waiting: list[bytes] = []

    def fold(batch: Sequence[Raw]) -> None:
        waiting.extend(raw.value() or b"" for raw in batch)
        if len(waiting) >= _MOST:
            _written(db, waiting)

    seconds = count / bare.read(bootstrap, topic, count, fold)
    begin = time.perf_counter()
    _written(db, waiting)
    seconds += time.perf_counter() - begin
    ((rows,),) = db.execute("SELECT count(*) FROM requests").fetchall()
    db.close()
    if rows != count:
        raise RuntimeError(f"the pipeline wrote {rows} of {count} events")
    return count / seconds


def _written(db: duckdb.DuckDBPyConnection, waiting: list[bytes]) -> None:
    if not waiting:
        return
    db.register("taken", pl.read_ndjson(b"\n".join(waiting)).to_arrow())
    waiting.clear()
    db.execute(_ROWS.format(taken="taken", limit="LIMIT 0").replace("TABLE", "TABLE IF NOT EXISTS"))
    db.begin()
    db.execute("INSERT INTO requests " + _ROWS.partition(" AS ")[2].format(taken="taken", limit=""))
    db.execute(_SUMS)
    db.commit()
    db.unregister("taken")
