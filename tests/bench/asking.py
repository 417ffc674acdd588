"""How long a question about usage takes, beside the least that DuckDB itself can do for it.

A ledger is filled with requests of 30 days by 1,000 customers of 8 applications, in chunks as
counting commits them, and its sums are merged. Asked are 30 days by customer (from days), a page of
an older version of it, one day's raw rows by status and endpoint with a quantile, and the lines of
the month's statement. The peer is one bare statement on the same rows: counts alone, nothing shown.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from midstage.stats.adapters.cuts import lines_of_sums
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.merging import Merging
from midstage.stats.decide.periods import Period
from midstage.stats.model import Batch
from midstage.stats.views.usage.answer import ordered, page
from midstage.stats.views.usage.asking import from_parameters
from tests.bench.figures import Figure, Measure, figures
from tests.bench.filling import fill
from tests.bench.rounds import Contestant, Size, interleaved, quantile, say

GROUP: Final = "usage"
OURS, BARE = "midstage stats", "bare DuckDB"
MONTH: Final = Measure(name="30 days by customer, p99", unit="ms", more_is_better=False)
PAGE: Final = Measure(name="a later page of it, p99", unit="ms", more_is_better=False)
DAY: Final = Measure(
    name="a day's rows by status and endpoint, p99", unit="ms", more_is_better=False
)
SEALED: Final = Measure(name="a month's lines for its statement", unit="s", more_is_better=False)
SIZE: Final = Measure(name="ledger file", unit="bytes/event", more_is_better=False)
DAYS: Final = 30
_TIMES_EVENTS: Final = 10
_ASKS: Final = 20
_LESS = "SELECT {keys}, count(*) FROM requests WHERE time >= ? AND time < ? GROUP BY ALL ORDER BY 1"
NOW: Final = datetime(2026, 6, 30, tzinfo=UTC)
BEGIN: Final = NOW - timedelta(days=DAYS)


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Fill a ledger once, then ask it in turn with the peer."""
    del bootstrap  # what is asked has been counted
    count = size.ledger_events * _TIMES_EVENTS
    home = directory / "usage"
    home.mkdir(parents=True)
    file = home / "usage.duckdb"
    each_bytes = _filled(file, count)
    ledger = DuckdbLedger(file, now=lambda: NOW)
    taken = interleaved(
        [
            Contestant(name=OURS, run=lambda: {**_asked(ledger), SIZE.name: each_bytes}),
            Contestant(name=BARE, run=partial(_bare, ledger)),
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    ledger.close()
    shutil.rmtree(home)
    counts = dict.fromkeys((OURS, BARE), f"{count:,} events of {DAYS} days")
    measures = [MONTH, PAGE, DAY, SEALED, SIZE]
    return figures(group=GROUP, measures=measures, taken=taken, peers=(BARE,), counts=counts)


def _filled(file: Path, count: int) -> float:
    """The bytes of the file for each event."""
    ledger = DuckdbLedger(file, now=lambda: NOW)
    fill(ledger, count=count, since=BEGIN, lasting=timedelta(days=DAYS))
    Merging(ledger)(before=NOW)
    ledger.close()
    say(f"{GROUP}: {count:,} events are in the ledger")
    return file.stat().st_size / count


def _asked(ledger: DuckdbLedger) -> Mapping[str, float]:
    books = ledger.queries().usage
    month = [("group_by", "customer"), ("from", BEGIN.isoformat()), ("to", NOW.isoformat())]
    day = [
        ("group_by", "status,endpoint"),
        ("measures", "requests,units,latency_ms.p99"),
        ("from", (NOW - timedelta(days=1)).isoformat()),
        ("to", NOW.isoformat()),
    ]
    begun = from_parameters(month, now=NOW).question
    first = books.part(begun, versions=None, now=NOW).standing.versions
    ledger.commit(Batch(), begins={}, ends={})

    def ask(given: list[tuple[str, str]], versions: Mapping[int, int] | None = None) -> None:
        question = from_parameters(given, now=NOW).question
        part = books.part(question, versions=versions, now=NOW)
        page(question, ordered(question, part.groups), part.standing, following=None)

    return {
        MONTH.name: _p99_ms(partial(ask, month)),
        PAGE.name: _p99_ms(partial(ask, month, first)),
        DAY.name: _p99_ms(partial(ask, day)),
        SEALED.name: _sealed_s(ledger),
    }


def _sealed_s(ledger: DuckdbLedger) -> float:
    period = Period(name="june", since=BEGIN, until=NOW, zone="UTC")
    begin = time.perf_counter()
    with ledger.writing() as writing:
        lines_of_sums(writing.db, period)
    return time.perf_counter() - begin


def _bare(ledger: DuckdbLedger) -> Mapping[str, float]:
    def ask(keys: str, since: datetime) -> None:
        with ledger.writing() as writing:
            bounds = [since.replace(tzinfo=None), NOW.replace(tzinfo=None)]
            writing.db.execute(_LESS.format(keys=keys), bounds).fetchall()

    day = NOW - timedelta(days=1)
    return {
        MONTH.name: _p99_ms(partial(ask, "customer", BEGIN)),
        DAY.name: _p99_ms(partial(ask, "status, endpoint", day)),
    }


def _p99_ms(ask: Callable[[], None]) -> float:
    took = []
    for _ in range(_ASKS):
        begin = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begin) * 1000)
    return quantile(took, 0.99)
