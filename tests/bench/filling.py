"""A ledger filled with a month of requests, in columns, as counting decides and commits them.

1,000 customers call 8 applications; a chunk is as large as counting takes it from a backlog. From a
fixed seed: two ledgers of one size hold the same.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np

from midstage.contracts import units
from midstage.contracts.units import MICROS_PER_UNIT
from midstage.eventlog.log import Partition
from midstage.stats.adapters.columns import microseconds
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.decide import decide, named
from midstage.stats.model import Amounts, Arrivals, Known, Labels, Longs, Rows, Words
from tests.bench.payload import SOURCES

CUSTOMERS, APPS = 1_000, 8
CHUNK = 30_000
_PLACE = Partition(topic="bench", number=0)
_UNITS = (units.REQUESTS, units.INPUT_TOKENS, units.OUTPUT_TOKENS)
_ID_BYTES = 16


def fill(ledger: DuckdbLedger, *, count: int, since: datetime, lasting: timedelta) -> None:
    """Commit ``count`` requests, one after the other, evenly over that time."""
    for at, rows in _chunks(count, since, lasting):
        arrived = Arrivals(rows=rows)
        known = Known(sources=ledger.sources(named(arrived)), seen=np.zeros(0, np.bool_))
        batch = decide(known, arrived)
        ledger.commit(batch, begins={_PLACE: at}, ends={_PLACE: at + len(rows)})


def _chunks(count: int, since: datetime, lasting: timedelta) -> Iterator[tuple[int, Rows]]:
    chance = np.random.default_rng(20260101)
    begin, apart = microseconds(since), lasting / timedelta(microseconds=1) / count
    for at in range(0, count, CHUNK):
        numbers = np.arange(at, min(at + CHUNK, count), dtype=np.int64)
        times: Longs = begin + (numbers * apart).astype(np.int64)
        yield at, _rows(chance, numbers, times)


def _rows(chance: np.random.Generator, numbers: Longs, times: Longs) -> Rows:
    count = len(numbers)
    sent, received = chance.integers(10, 4000, count), chance.integers(1, 1000, count)
    micros = np.stack([np.ones(count, np.int64), sent, received], axis=1) * MICROS_PER_UNIT
    hexadecimal = chance.bytes(_ID_BYTES * count).hex()
    digits = 2 * _ID_BYTES
    return Rows(
        kind=Words.same("request", count),
        source=Words(words=SOURCES, codes=(numbers % len(SOURCES)).astype(np.int32)),
        seq=numbers // len(SOURCES) + 1,
        id=[hexadecimal[digit : digit + digits] for digit in range(0, digits * count, digits)],
        time=times,
        customer=_drawn(chance, [f"customer-{n:03d}" for n in range(CUSTOMERS)], count),
        app=_drawn(chance, [f"app-{n}" for n in range(APPS)], count),
        endpoint=Words.same("/v1/chat/completions", count),
        revision=Words.same("", count),
        status=np.full(count, 200, np.int32),
        outcome=Words.same("ok", count),
        duration_ms=chance.uniform(80, 9000, count).round(3),
        queue_ms=np.full(count, np.nan),
        ttft_ms=chance.uniform(20, 900, count).round(3),
        bytes_in=sent * 6,
        bytes_out=received * 6,
        usage=Amounts(
            rows=np.repeat(np.arange(count, dtype=np.int64), len(_UNITS)),
            names=Words(words=_UNITS, codes=np.tile(np.arange(3, dtype=np.int32), count)),
            micros=micros.reshape(-1),
        ),
        billed=np.ones(count, np.bool_),
        estimated=np.zeros(count, np.bool_),
        labels=Labels(rows=np.zeros(0, np.int64), names=_NONE, values=_NONE),
        ref=[f"r-{number}" for number in numbers.tolist()],
        cluster=Words.same("", count),
        pod=Words.same("", count),
        trace_id=[""] * count,
    )


_NONE = Words(words=(), codes=np.zeros(0, np.int32))


def _drawn(chance: np.random.Generator, words: list[str], count: int) -> Words:
    codes = chance.integers(0, len(words), count).astype(np.int32)
    return Words(words=tuple(words), codes=codes)
