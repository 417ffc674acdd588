"""All raw rows, wherever they are: those of the ledger and those of its Parquet files."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from midstage.stats.adapters.archive import relation
from midstage.stats.adapters.usage.reading import Rows

_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)


def archived(directory: Path) -> Rows:
    """The relation of all rows of a ledger whose archive is ``directory``."""

    def rows(db: duckdb.DuckDBPyConnection, since: datetime | None, until: datetime | None) -> str:
        return relation(db, directory, since=since or _EARLIEST, until=until or _LATEST)

    return rows
