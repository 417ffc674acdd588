"""All raw rows, wherever they are: those of the ledger and those of its Parquet files."""

from datetime import datetime
from pathlib import Path

import duckdb

from midstage.stats.adapters.archive import relation
from midstage.stats.adapters.usage.reading import Rows


def archived(directory: Path) -> Rows:
    """The relation of all rows of a ledger whose archive is ``directory``."""

    def rows(db: duckdb.DuckDBPyConnection, since: datetime | None, until: datetime | None) -> str:
        return relation(db, directory, since=since, until=until)

    return rows
