"""What the roll-up of days holds, as a transaction sees it."""

from datetime import UTC

import duckdb

from midstage.stats.views.usage.plan import Rolled


def rolled(db: duckdb.DuckDBPyConnection) -> Rolled:
    """Which days, and of which commits; those of later ones are in their hours alone."""
    ((until, version),) = db.execute("SELECT until, version FROM rolled").fetchall()
    return Rolled(until=None if until is None else until.replace(tzinfo=UTC), version=version)
