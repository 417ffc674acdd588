"""How long a question about usage takes, beside the least that DuckDB itself can do for it.

A ledger is filled with requests of 30 days by 1,000 customers of 8 applications, in chunks as
counting commits them. Then 30 days by customer are asked for (from roll-ups), and one day's raw
rows by status and endpoint, with a quantile. The peer is one bare statement on the same rows that
gives less: counts alone, no units, nothing ordered or shown.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from midstage.eventlog.log import Partition
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.views.usage.answer import ordered, page
from midstage.stats.views.usage.asking import from_parameters
from tests.bench.figures import Figure, Measure, figures
from tests.bench.payload import spread
from tests.bench.rounds import Contestant, Size, interleaved, quantile, say
from tests.stats.conftest import decided

GROUP: Final = "usage"
OURS, BARE = "midstage stats", "bare DuckDB"
MONTH: Final = Measure(name="30 days by customer, p99", unit="ms", more_is_better=False)
DAY: Final = Measure(
    name="a day's rows by status and endpoint, p99", unit="ms", more_is_better=False
)
DAYS: Final = 30
_ASKS: Final = 20
_CHUNK: Final = 20_000
_LESS = "SELECT {keys}, count(*) FROM requests WHERE time >= ? AND time < ? GROUP BY ALL ORDER BY 1"
NOW: Final = datetime(2026, 6, 30, tzinfo=UTC)
BEGIN: Final = NOW - timedelta(days=DAYS)


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Fill a ledger once, then ask it in turn with the peer."""
    del bootstrap  # what is asked has been counted
    count = size.ledger_events * 5
    home = directory / "usage"
    home.mkdir(parents=True)
    ledger = DuckdbLedger(home / "usage.duckdb", now=lambda: NOW)
    _fill(ledger, count)
    taken = interleaved(
        [
            Contestant(name=OURS, run=partial(_asked, ledger)),
            Contestant(name=BARE, run=partial(_bare, ledger)),
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    ledger.close()
    shutil.rmtree(home)
    counts = dict.fromkeys((OURS, BARE), f"{count:,} events of {DAYS} days")
    return figures(group=GROUP, measures=[MONTH, DAY], taken=taken, peers=(BARE,), counts=counts)


def _fill(ledger: DuckdbLedger, count: int) -> None:
    events, place, at = spread(count), Partition(topic="bench", number=0), 0
    apart = timedelta(days=DAYS) / count
    while chunk := list(islice(events, _CHUNK)):
        moved = [replace(event, time=BEGIN + (at + i) * apart) for i, event in enumerate(chunk)]
        ends = at + len(chunk)
        ledger.commit(decided(ledger, moved), begins={place: at}, ends={place: ends})
        at = ends
    say(f"{GROUP}: {at:,} events are in the ledger")


def _asked(ledger: DuckdbLedger) -> Mapping[str, float]:
    books = ledger.queries().usage
    month = [("group_by", "customer"), ("from", BEGIN.isoformat()), ("to", NOW.isoformat())]
    day = [
        ("group_by", "status,endpoint"),
        ("measures", "requests,units,latency_ms.p99"),
        ("from", (NOW - timedelta(days=1)).isoformat()),
        ("to", NOW.isoformat()),
    ]

    def ask(given: list[tuple[str, str]]) -> None:
        question = from_parameters(given, now=NOW).question
        part = books.part(question, versions=None, now=NOW)
        page(question, ordered(question, part.groups), part.standing, following=None)

    return {MONTH.name: _p99_ms(partial(ask, month)), DAY.name: _p99_ms(partial(ask, day))}


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
