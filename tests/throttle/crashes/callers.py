"""Who asks: callers of each process about each customer, and holders of leases."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)

from midstage.limits.client import Limits
from midstage.limits.errors import LimitsUnavailableError, QuotaExceededError
from tests.throttle.crashes.judging import Seen
from tests.throttle.crashes.limited import APP

ASKED_WITHIN_S = 5.0
BACK_IN_S = 0.05
LEASED_AT_ONCE = 50
"""Checks of a holder in a step: in process, each costs a thousandth of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Each caller rests so long between its checks, until the run ``is_over``."""

    rests_s: float
    is_over: Callable[[], bool]


def connected(port: int) -> grpc.aio.Channel:
    """To a process that may be away, and is back at the same port."""
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{port}",
        options=[
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 100),
        ],
    )


async def calling(channel: grpc.aio.Channel, seen: Seen, pace: Pace) -> None:
    """Ask one process about one customer, again and again."""
    stub = rls_pb2_grpc.RateLimitServiceStub(channel)
    asked = rls_pb2.RateLimitRequest(domain="midstage")
    descriptor = asked.descriptors.add()
    descriptor.entries.add(key="customer", value=seen.limit.customer)
    descriptor.entries.add(key="app", value=APP)
    while not pace.is_over():
        since = time.time_ns()
        try:
            answer = await stub.ShouldRateLimit(asked, timeout=ASKED_WITHIN_S)
        except grpc.aio.AioRpcError:
            seen.failed += 1
            await asyncio.sleep(BACK_IN_S)
            continue
        passed = answer.overall_code == rls_pb2.RateLimitResponse.OK
        seen.asked.append((since, time.time_ns(), passed))
        await asyncio.sleep(pace.rests_s)


async def holding(url: str, holder: str, token: str, seen: Seen, pace: Pace) -> None:
    """Go by leases, and by checks where nothing is lent; what it did is given back in the end."""
    async with await Limits.connect(url, holder=holder, token=token) as limits:
        while not pace.is_over():
            for _ in range(LEASED_AT_ONCE):
                since = time.time_ns()
                try:
                    await limits.admit(seen.limit.customer, app=APP)
                except QuotaExceededError:
                    seen.asked.append((since, time.time_ns(), False))
                except LimitsUnavailableError:
                    seen.failed += 1
                    await asyncio.sleep(BACK_IN_S)
                else:
                    seen.asked.append((since, time.time_ns(), True))
            await asyncio.sleep(pace.rests_s)
