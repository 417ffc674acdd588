"""How long a question about usage takes, beside the least that DuckDB itself can do for it.

Requests of 30 days by 1,000 customers of 8 applications are counted from the log into a ledger,
and its sums are merged. Asked are 30 days by customer (from days), a page of an older version of
it, one day's raw rows by status and endpoint with a quantile, and the month is sealed for its
statement. The peer is one bare statement on the same rows: counts alone, nothing shown. Garbage is
looked for as seldom as a service does it, else each look goes over all that the bench holds.
"""

import gc
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from midstage.chassis.garbage import collected_seldom
from midstage.stats.adapters.archive import Archive
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.merging import Merging
from midstage.stats.adapters.periods import Periods
from midstage.stats.adapters.rows import Bounds, beside, held
from midstage.stats.api.answered import as_json
from midstage.stats.decide.periods import Accepted, Period
from midstage.stats.model import Batch
from midstage.stats.views.usage.answer import ordered, page
from midstage.stats.views.usage.asking import from_parameters
from tests.bench.figures import Figure, Measure, figures
from tests.bench.filling import CPU, DAYS, HALF, MEMORY, NOW, SINCE, filled
from tests.bench.rounds import Contestant, Size, interleaved, quantile, say

GROUP: Final = "usage"
OURS, BARE = "midstage stats", "bare DuckDB"
MONTH: Final = Measure(name="30 days by customer, p99", unit="ms", more_is_better=False)
MONTH_CPU: Final = Measure(name="30 days by customer, median", unit="CPU ms", more_is_better=False)
PAGE: Final = Measure(name="a later page of it, p99", unit="ms", more_is_better=False)
DAY: Final = Measure(
    name="a day's rows by status and endpoint, p99", unit="ms", more_is_better=False
)
SEALED: Final = Measure(name="a month's part of its statement", unit="s", more_is_better=False)
MERGED: Final = Measure(name="merge its sums", unit="CPU us/event", more_is_better=False)
SIZE: Final = Measure(name="ledger file and rows", unit="bytes/event", more_is_better=False)
_ASKS: Final = 20
_MEMORY_MB: Final = 80
_GRACE: Final = timedelta(minutes=10)
_ACCEPTED: Final = Accepted(gaps=True, by="bench", why="no edge says that it has said all")
_LESS = """
SELECT {keys}, count(*) FROM {rows} AS held WHERE time >= ? AND time < ? GROUP BY ALL ORDER BY 1
"""


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Fill a ledger once, then ask it in turn with the peer."""
    count = size.month_events
    home = directory / "usage"
    home.mkdir(parents=True)
    file, once = _filled(bootstrap, count, home)
    ledger = DuckdbLedger(file, now=lambda: NOW, memory_mb=_MEMORY_MB)
    with _as_a_service():
        taken = interleaved(
            [
                Contestant(name=OURS, run=lambda: {**_asked(ledger, file), **once}),
                Contestant(name=BARE, run=partial(_bare, ledger, file)),
            ],
            group=GROUP,
            rounds=size.rounds,
        )
    ledger.close()
    shutil.rmtree(home)
    counts = dict.fromkeys((OURS, BARE), f"{count:,} events of {DAYS} days")
    measures = [MONTH, MONTH_CPU, PAGE, DAY, SEALED, SIZE, CPU, MERGED, HALF, MEMORY]
    return figures(group=GROUP, measures=measures, taken=taken, peers=(BARE,), counts=counts)


@contextmanager
def _as_a_service() -> Iterator[None]:
    thresholds = gc.get_threshold()
    collected_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _filled(bootstrap: str, count: int, home: Path) -> tuple[Path, Mapping[str, float]]:
    """The file, and what it cost once."""
    file, figures_of = filled(bootstrap, count, home)
    ledger = DuckdbLedger(file, now=lambda: NOW, memory_mb=_MEMORY_MB)
    begin = time.process_time()
    Merging(ledger)(before=NOW)
    merged_us = (time.process_time() - begin) / count * 1e6
    ledger.close()
    say(f"{GROUP}: {count:,} events are in the ledger")
    return file, {
        **figures_of,
        MERGED.name: merged_us,
        SIZE.name: sum(one.stat().st_size for one in (file, *beside(file).iterdir())) / count,
    }


def _asked(ledger: DuckdbLedger, file: Path) -> Mapping[str, float]:
    books = ledger.queries().usage
    month = [("group_by", "customer"), ("from", SINCE.isoformat()), ("to", NOW.isoformat())]
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
        as_json(page(question, ordered(question, part.groups), part.standing, following=None))

    return {
        **_month(partial(ask, month)),
        PAGE.name: _p99_ms(partial(ask, month, first)),
        DAY.name: _p99_ms(partial(ask, day)),
        SEALED.name: _sealed_s(ledger, file),
    }


def _sealed_s(ledger: DuckdbLedger, file: Path) -> float:
    """All that a shard does for a statement, and taken back for the next round."""
    periods = Periods(
        ledger, Archive(ledger, directory=beside(file)), shard=0, now=lambda: NOW, grace=_GRACE
    )
    begin = time.perf_counter()
    periods.seal(Period(name="month", since=SINCE, until=NOW, zone="UTC"), _ACCEPTED)
    took = time.perf_counter() - begin
    with ledger.writing() as writing:
        writing.db.execute("DELETE FROM seals")
        writing.db.execute("DELETE FROM sealed")
    return took


def _bare(ledger: DuckdbLedger, file: Path) -> Mapping[str, float]:
    def ask(keys: str, since: datetime) -> None:
        with ledger.writing() as writing:
            rows = held(writing.db, beside(file), Bounds(since=since, until=NOW))
            bounds = [since.replace(tzinfo=None), NOW.replace(tzinfo=None)]
            writing.db.execute(_LESS.format(keys=keys, rows=rows), bounds).fetchall()

    day = NOW - timedelta(days=1)
    return {
        **_month(partial(ask, "customer", SINCE)),
        DAY.name: _p99_ms(partial(ask, "status, endpoint", day)),
    }


def _month(ask: Callable[[], None]) -> Mapping[str, float]:
    took = _took_ms(ask)
    return {
        MONTH.name: quantile([clock for clock, _ in took], 0.99),
        MONTH_CPU.name: quantile([cpu for _, cpu in took], 0.5),
    }


def _p99_ms(ask: Callable[[], None]) -> float:
    return quantile([clock for clock, _ in _took_ms(ask)], 0.99)


def _took_ms(ask: Callable[[], None]) -> list[tuple[float, float]]:
    """By the clock, and of all threads' CPU."""
    took = []
    for _ in range(_ASKS):
        begin, cpu = time.perf_counter(), time.process_time()
        ask()
        took.append(((time.perf_counter() - begin) * 1000, (time.process_time() - cpu) * 1000))
    return took
