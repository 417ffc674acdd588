"""Hours and days of UTC from the minutes that commits write: a long time is few sums.

What they hold is exact at every moment: of each hour before ``rolled.hours`` and each day before
``rolled.until`` the commits up to ``version``. What was committed to them since is in minutes
alone, and moves with the next turn. Each hour, each day and each lot of commits in a transaction of
its own.
"""

from datetime import UTC, datetime, timedelta

import duckdb

from midstage.stats.adapters.archive import Books
from midstage.stats.adapters.columns import LONG_AGO, utc
from midstage.stats.adapters.usage.rolled import rolled
from midstage.stats.views.usage.plan import Rolled

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COMMITS, SUMS = 100, 500_000
"""How many commits' late sums move at once, and about how many: counting waits meanwhile."""
_NEW = """
SELECT DISTINCT date_trunc('{step}', {time})::TIMESTAMP FROM {table}
WHERE {time} >= $since AND {time} < $until AND version <= $version ORDER BY 1
"""
_SIZES = """
SELECT version, count(*) FROM minutes
WHERE version > $after AND version <= $upto AND minute < $until GROUP BY version ORDER BY version
"""
_LOT = """
CREATE OR REPLACE TEMP TABLE lot AS
SELECT date_trunc('hour', minute)::TIMESTAMP AS hour, customer, app, endpoint, revision, kind, name,
    sum(amount)::HUGEINT AS amount, max(version) AS version
FROM minutes WHERE minute >= $since AND minute < $until AND version > $after AND version <= $upto
GROUP BY ALL
"""
_DAYS = """
INSERT INTO days BY NAME
SELECT date_trunc('day', hour)::TIMESTAMP AS day, customer, app, endpoint, revision, kind, name,
    sum(amount)::HUGEINT AS amount, max(version) AS version
FROM {hours} AS held WHERE hour >= $since AND hour < $until GROUP BY ALL
"""
_BY_CUSTOMER = """
INSERT INTO customer_days BY NAME
SELECT date_trunc('day', hour)::TIMESTAMP AS day, customer, kind, name,
    sum(amount)::HUGEINT AS amount, max(version) AS version
FROM {hours} AS held WHERE hour >= $since AND hour < $until GROUP BY ALL
"""


def roll(books: Books, *, before: datetime, upto: int) -> int:
    """Derive what ended by ``before``, of the commits up to ``upto``; the new ``version``.

    That is higher than ``upto`` where it was before.
    """
    hour = before.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    with books.writing() as writing:
        held = rolled(writing.db)
    _derive_hours(books, held, hour)
    _derive_days(books, held, hour.replace(hour=0))
    at = held.version
    while at < upto:
        with books.writing() as writing:
            following = _following(writing.db, at, min(at + COMMITS, upto))
            _late(writing.db, (at, following))
            writing.db.execute("UPDATE rolled SET version = ?", [following])
        at = following
    return at


def _derive_hours(books: Books, held: Rolled, until: datetime) -> None:
    if held.hours is not None and until <= held.hours:
        return
    since = LONG_AGO if held.hours is None else utc(held.hours)
    asked = {"since": since, "until": utc(until), "version": held.version}
    new = _NEW.format(step="hour", time="minute", table="minutes")
    with books.writing() as writing:
        hours = [hour for (hour,) in writing.db.execute(new, asked).fetchall()]
    for hour in hours:
        with books.writing() as writing:
            _put_hours(writing.db, (hour, hour + HOUR), (0, held.version))
            writing.db.execute("UPDATE rolled SET hours = ?", [hour + HOUR])
    with books.writing() as writing:
        writing.db.execute("UPDATE rolled SET hours = ?", [utc(until)])


def _derive_days(books: Books, held: Rolled, until: datetime) -> None:
    """Of hours, which hold the same commits."""
    if held.until is not None and until <= held.until:
        return
    since = LONG_AGO if held.until is None else utc(held.until)
    asked = {"since": since, "until": utc(until), "version": held.version}
    with books.writing() as writing:
        new = _NEW.format(step="day", time="hour", table="hours")
        days = [day for (day,) in writing.db.execute(new, asked).fetchall()]
    for day in days:
        with books.writing() as writing:
            _put_days(writing.db, "hours", (day, day + DAY))
            writing.db.execute("UPDATE rolled SET until = ?", [day + DAY])
    with books.writing() as writing:
        writing.db.execute("UPDATE rolled SET until = ?", [utc(until)])


def _following(db: duckdb.DuckDBPyConnection, after: int, upto: int) -> int:
    """The last of the commits that move next: at least one of them, however many sums it has."""
    ((until,),) = db.execute("SELECT hours FROM rolled").fetchall()
    taken = 0
    asked = {"after": after, "upto": upto, "until": until}
    for version, sums in db.execute(_SIZES, asked).fetchall():
        if taken and taken + sums > SUMS:
            return int(version) - 1
        taken += sums
    return upto


def _late(db: duckdb.DuckDBPyConnection, commits: tuple[int, int]) -> None:
    """What these commits added to hours and days that are derived already."""
    ((hours, days),) = db.execute("SELECT hours, until FROM rolled").fetchall()
    _put_hours(db, (LONG_AGO, hours), commits)
    _put_days(db, "lot", (LONG_AGO, days))


def _put_hours(
    db: duckdb.DuckDBPyConnection, times: tuple[datetime, datetime], commits: tuple[int, int]
) -> None:
    (since, until), (after, upto) = times, commits
    db.execute(_LOT, {"since": since, "until": until, "after": after, "upto": upto})
    db.execute("INSERT INTO hours BY NAME FROM lot")


def _put_days(db: duckdb.DuckDBPyConnection, hours: str, times: tuple[datetime, datetime]) -> None:
    since, until = times
    asked = {"since": since, "until": until}
    db.execute(_DAYS.format(hours=hours), asked)
    db.execute(_BY_CUSTOMER.format(hours=hours), asked)
