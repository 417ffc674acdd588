"""What the roll-ups of hours and days hold, as a transaction sees it."""

from datetime import UTC, datetime

import duckdb

from midstage.stats.views.usage.plan import Rolled


def rolled(db: duckdb.DuckDBPyConnection) -> Rolled:
    """Which hours and days, and of which commits; those of later ones are in minutes alone."""
    found = db.execute("SELECT hours, until, version FROM rolled").fetchall()
    ((hours, until, version),) = found
    return Rolled(hours=_zoned(hours), until=_zoned(until), version=version)


def _zoned(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)
