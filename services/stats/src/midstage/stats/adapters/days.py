"""Days of UTC from their hours, by all dimensions and by customer alone: a long time is few sums.

What the days hold is exact at every moment: of each day before ``until`` the commits up to
``version``. What was committed to such a day since is in its hours alone, and moves with the next
turn. Each day and each lot of commits in a transaction of its own.
"""

from datetime import UTC, datetime, timedelta

import duckdb

from midstage.stats.adapters.archive import Books
from midstage.stats.adapters.columns import LONG_AGO, utc
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.views.usage.plan import Rolled

DAY = timedelta(days=1)
COMMITS = 100
"""How many commits' late sums move at once: counting waits meanwhile."""
_NEW = """
SELECT DISTINCT date_trunc('day', hour)::TIMESTAMP FROM hours
WHERE hour >= coalesce($since, '-infinity'::TIMESTAMP) AND hour < $until AND version <= $version
ORDER BY 1
"""
_LOT = """
CREATE OR REPLACE TEMP TABLE lot AS
SELECT date_trunc('day', hour)::TIMESTAMP AS day, customer, app, endpoint, revision, kind, name,
    sum(amount)::HUGEINT AS amount, max(version) AS version
FROM hours WHERE hour >= $since AND hour < $until AND version > $after AND version <= $upto
GROUP BY ALL
"""
_BY_CUSTOMER = """
INSERT INTO customer_days BY NAME
SELECT day, customer, kind, name, sum(amount)::HUGEINT AS amount, max(version) AS version
FROM lot GROUP BY ALL
"""


def roll(books: Books, *, before: datetime, upto: int) -> int:
    """Roll up the days that ended by ``before`` and the commits up to ``upto``; its ``version``.

    That is higher than ``upto`` where it was before.
    """
    end = before.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with books.writing() as writing:
        held = rolled(writing.db)
        asked = {
            "since": None if held.until is None else utc(held.until),
            "until": utc(end),
            "version": held.version,
        }
        new = [day for (day,) in writing.db.execute(_NEW, asked).fetchall()]
    for day in new:
        with books.writing() as writing:
            _put(writing.db, (day, day + DAY), (0, held.version))
            writing.db.execute("UPDATE rolled SET until = ?", [day + DAY])
    until = end if held.until is None else max(end, held.until)
    at = held.version
    while at < upto or until != held.until:
        following = min(at + COMMITS, max(upto, at))
        with books.writing() as writing:
            _put(writing.db, (LONG_AGO, utc(until)), (at, following))
            writing.db.execute("UPDATE rolled SET until = ?, version = ?", [utc(until), following])
        at, held = following, Rolled(until=until, version=following)
    return at


def _put(
    db: duckdb.DuckDBPyConnection, times: tuple[datetime, datetime], commits: tuple[int, int]
) -> None:
    (since, until), (after, upto) = times, commits
    db.execute(_LOT, {"since": since, "until": until, "after": after, "upto": upto})
    db.execute("INSERT INTO days BY NAME FROM lot")
    db.execute(_BY_CUSTOMER)
    db.execute("DROP TABLE lot")
