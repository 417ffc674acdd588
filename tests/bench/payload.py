"""The same request events for everybody: structured CloudEvents as the edges sign and write them.

Made from a fixed seed: two runs, and all contestants of one run, see the same bytes. Each source
numbers its events from 1 on without a hole, as an edge's log files do.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import structs

from midstage.contracts import units
from midstage.contracts.edges import source_of
from midstage.contracts.fact import Event
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted

SIGNING_KEY = bytes(range(32))
EDGE = "edge-1"
SOURCES = tuple(source_of(EDGE, f"20260101T000000-{number:04d}") for number in range(48))
_CUSTOMERS = tuple(f"customer-{number:02d}" for number in range(12))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PER_SECOND = 5_000
_SEED = 20260101


def events(count: int) -> Iterator[Event[RequestCompleted]]:
    """``count`` events over all sources in turn, ``PER_SECOND`` in a second of event time."""
    chance = random.Random(_SEED)
    for number in range(count):
        yield Event(
            id=str(UUID(int=chance.getrandbits(128), version=4)),
            source=SOURCES[number % len(SOURCES)],
            type=REQUEST_COMPLETED,
            time=BEGIN + timedelta(seconds=number / PER_SECOND),
            data=_completed(chance, number),
            seq=number // len(SOURCES) + 1,
        )


def spread(count: int) -> Iterator[Event[RequestCompleted]]:
    """The same over 1,000 customers and 8 applications, as many cells as a ledger is asked for."""
    chance = random.Random(_SEED)
    for event in events(count):
        customer, app = chance.randrange(1_000), chance.randrange(8)
        fact = structs.replace(event.data, customer=f"customer-{customer:03d}", app=f"app-{app}")
        yield replace(event, data=fact)


def _completed(chance: random.Random, number: int) -> RequestCompleted:
    sent, received = chance.randint(10, 4000), chance.randint(1, 1000)
    return RequestCompleted(
        app="chat" if chance.random() < 0.7 else "code",
        customer=_CUSTOMERS[min(int(chance.expovariate(0.4)), len(_CUSTOMERS) - 1)],
        status=200,
        outcome=Outcome.OK,
        duration_ms=round(chance.uniform(80, 9000), 3),
        ttft_ms=round(chance.uniform(20, 900), 3),
        bytes_in=sent * 6,
        bytes_out=received * 6,
        endpoint="/v1/chat/completions",
        ref=f"r-{number}",
        usage={
            units.REQUESTS: 1,
            units.INPUT_TOKENS: sent,
            units.OUTPUT_TOKENS: received,
        },
    )
