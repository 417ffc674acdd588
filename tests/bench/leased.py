"""Checks in process from leases, beside the in-memory limiters of other libraries.

One customer with limits that are never reached, asked in one thread: with one limit and with three.
The peers are asked once for each limit, as their users do: ``limits`` with fixed and moving windows
in memory, ``throttled-py`` with token buckets in memory. A call of the clock is part of each p99.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from throttled import RateLimiterType, Throttled, rate_limiter, store

from midstage.limits.client import Limits
from midstage.limits.lease import Book, Plan, Terms
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, quantile

GROUP: Final = "leased"
OURS: Final = "midstage leases"
FIXED, MOVING = "limits, fixed window", "limits, moving window"
BUCKETS: Final = "throttled-py, token bucket"
COUNTS: Final = (1, 3)
_MOST: Final = 1_000_000_000
_MOVING_MOST: Final = 10_000
_SLOW: Final = 20

Check = Callable[[], bool]


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Rounds of each library; no broker is asked."""
    del bootstrap, directory
    ways = {OURS: _ours, FIXED: _fixed, MOVING: _moving, BUCKETS: _buckets}
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_run, way, _times(name, size)))
            for name, way in ways.items()
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    counts = {name: f"{_times(name, size):,} checks" for name in ways}
    peers = (FIXED, MOVING, BUCKETS)
    measures = [each for number in COUNTS for each in _measures(number)]
    return figures(group=GROUP, measures=measures, taken=taken, peers=peers, counts=counts)


def _times(name: str, size: Size) -> int:
    return size.events if name == OURS else size.events // _SLOW


def _measures(limits: int) -> tuple[Measure, Measure]:
    return (
        Measure(name=f"{limits} limits, checks by processor time", unit="/CPU s"),
        Measure(name=f"{limits} limits, p99", unit="us", more_is_better=False),
    )


def _run(way: Callable[[int], Check], times: int) -> Mapping[str, float]:
    measured: dict[str, float] = {}
    for number in COUNTS:
        check = way(number)
        rate, p99 = _measures(number)
        measured[rate.name] = _rate(check, times)
        measured[p99.name] = _p99_us(check, times)
    return measured


def _rate(check: Check, times: int) -> float:
    begin = time.thread_time()
    for _ in range(times):
        check()
    return times / (time.thread_time() - begin)


def _p99_us(check: Check, times: int) -> float:
    took: list[float] = []
    clock = time.perf_counter_ns
    for _ in range(times):
        begin = clock()
        check()
        took.append(clock() - begin)
    return quantile(took, 0.99) / 1000


def _ours(number: int) -> Check:
    """``Limits.try_acquire`` over leases that no throttle has to renew."""
    book, names = Book(), [f"limit-{each}" for each in range(number)]
    terms = [Terms(limit=name, rate_micros=_MOST, burst=_MOST, add=_MOST) for name in names]
    now_ns = time.monotonic_ns()
    book.renew(1, terms, until_ns=now_ns + 10**15, now_ns=now_ns)
    limits = Limits("http://127.0.0.1:1", holder="bench")
    limits._plans["acme", "chat"] = Plan(book, names)
    try_acquire = limits.try_acquire
    return lambda: try_acquire("acme", app="chat")


def _fixed(number: int) -> Check:
    limiter = FixedWindowRateLimiter(MemoryStorage())
    items = [RateLimitItemPerSecond(_MOST, namespace=f"limit-{each}") for each in range(number)]
    return lambda: _all(limiter.hit(item, "acme", "chat") for item in items)


def _moving(number: int) -> Check:
    """A lower limit: it keeps an entry for each hit and looks through them."""
    limiter = MovingWindowRateLimiter(MemoryStorage())
    items = [
        RateLimitItemPerSecond(_MOVING_MOST, namespace=f"limit-{each}") for each in range(number)
    ]
    return lambda: _all(limiter.hit(item, "acme", "chat") for item in items)


def _buckets(number: int) -> Check:
    throttles = [
        Throttled(
            using=RateLimiterType.TOKEN_BUCKET.value,
            quota=rate_limiter.per_sec(_MOST, burst=_MOST),
            store=store.MemoryStore(),
        )
        for _ in range(number)
    ]
    return lambda: _all(not each.limit("acme:chat").limited for each in throttles)


def _all(passed: Iterable[bool]) -> bool:
    """Every one is asked, as ours are."""
    return all(list(passed))
