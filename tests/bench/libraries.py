"""The peers of ``checking`` that are libraries: three limits in Redis for each decision.

``python -m tests.bench.libraries NAME REDIS_PORT REDIS_PID COUNT STREAMS …`` prints, for each
number of streams, what ``loading.Load`` says and the processor's time for a decision, Redis's
included. One stream is a thread that waits, more of them are tasks of one event loop: what each
library is quickest at.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import limits
import limits.aio.storage
import limits.aio.strategies
import limits.storage
import limits.strategies
import msgspec
import psutil
import throttled
import throttled.asyncio

from midstage.local.ports import LOOPBACK
from tests.bench.envoys import APP, CUSTOMER
from tests.bench.rounds import quantile

LIMITS: Final = "limits, Redis"
THROTTLED: Final = "throttled-py, Redis"
KEYS: Final = (CUSTOMER, APP, f"{CUSTOMER}/{APP}")
_MOST: Final = 1_000_000_000

Once = Callable[[], bool]
Soon = Callable[[], Awaitable[bool]]


class Worked(msgspec.Struct, frozen=True, kw_only=True):
    """One number of streams."""

    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float


def limits_once(port: int) -> Once:
    """A decision by ``limits`` that waits for Redis."""
    storage = limits.storage.RedisStorage(f"redis://{LOOPBACK}:{port}")
    limiter = limits.strategies.FixedWindowRateLimiter(storage)
    item = limits.RateLimitItemPerHour(_MOST)
    return lambda: all(limiter.hit(item, key) for key in KEYS)


def limits_soon(port: int) -> Soon:
    """The same on an event loop."""
    uri = f"async+redis://{LOOPBACK}:{port}"
    storage = limits.aio.storage.RedisStorage(uri, implementation="redispy")
    limiter = limits.aio.strategies.FixedWindowRateLimiter(storage)
    item = limits.RateLimitItemPerHour(_MOST)

    async def decide() -> bool:
        return all([await limiter.hit(item, key) for key in KEYS])

    return decide


def throttled_once(port: int) -> Once:
    """A decision by ``throttled-py`` that waits for Redis."""
    store = throttled.RedisStore(server=f"redis://{LOOPBACK}:{port}/0")
    quota = throttled.rate_limiter.per_hour(_MOST)
    limiter = throttled.Throttled(using="fixed_window", quota=quota, store=store)
    return lambda: not any(limiter.limit(key).limited for key in KEYS)


def throttled_soon(port: int) -> Soon:
    """The same on an event loop."""
    store = throttled.asyncio.RedisStore(server=f"redis://{LOOPBACK}:{port}/0")
    quota = throttled.rate_limiter.per_hour(_MOST)
    limiter = throttled.asyncio.Throttled(using="fixed_window", quota=quota, store=store)

    async def decide() -> bool:
        return not any([(await limiter.limit(key)).limited for key in KEYS])

    return decide


def main(arguments: list[str]) -> None:
    """Decide and tell."""
    name, port, pid, count, *streams = arguments
    once, soon = {
        LIMITS: (limits_once, limits_soon),
        THROTTLED: (throttled_once, throttled_soon),
    }[name]
    redis = psutil.Process(int(pid))
    told = {
        each: _one(once(int(port)), int(count), redis)
        if each == "1"
        else asyncio.run(_many(soon(int(port)), int(count), int(each), redis))
        for each in streams
    }
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


def _one(decide: Once, count: int, redis: psutil.Process) -> Worked:
    for _ in range(count // 10):
        _passed(decide())
    took_ns, before, began = [], _cpu_s(redis), time.perf_counter()
    for _ in range(count):
        begin = time.perf_counter_ns()
        _passed(decide())
        took_ns.append(time.perf_counter_ns() - begin)
    return _worked(took_ns, time.perf_counter() - began, _cpu_s(redis) - before)


async def _many(decide: Soon, count: int, streams: int, redis: psutil.Process) -> Worked:
    async def stream(most: int) -> None:
        for _ in range(most):
            begin = time.perf_counter_ns()
            _passed(await decide())
            took_ns.append(time.perf_counter_ns() - begin)

    took_ns: list[int] = []
    await asyncio.gather(*(stream(count // 10 // streams) for _ in range(streams)))
    took_ns.clear()
    before, began = _cpu_s(redis), time.perf_counter()
    await asyncio.gather(*(stream(count // streams) for _ in range(streams)))
    return _worked(took_ns, time.perf_counter() - began, _cpu_s(redis) - before)


def _passed(is_passed: bool) -> None:
    if not is_passed:
        raise RuntimeError("a limit that is never reached was reached")


def _worked(took_ns: list[int], seconds: float, cpu_s: float) -> Worked:
    took_us = [each / 1000 for each in took_ns]
    return Worked(
        rate=len(took_us) / seconds,
        p50_us=quantile(took_us, 0.5),
        p99_us=quantile(took_us, 0.99),
        cpu_us=cpu_s / len(took_us) * 1e6,
    )


def _cpu_s(redis: psutil.Process) -> float:
    times = redis.cpu_times()
    return time.process_time() + float(times.user + times.system)


if __name__ == "__main__":
    main(sys.argv[1:])
