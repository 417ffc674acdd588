"""Who holds slots: requests that run for a while, and whose ends are told until somebody hears."""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from typing import Final

import grpc
import httpx
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)

from tests.throttle.crashes.callers import ASKED_WITHIN_S, BACK_IN_S, Pace
from tests.throttle.crashes.judging import Seen
from tests.throttle.crashes.limited import APP

RUNS_S: Final = 0.05
"""At most."""
AT_ONCE: Final = 2
"""Callers of each process: all together more than may be under way at once."""
_WITHIN_S: Final = 5.0


async def running(
    channel: grpc.aio.Channel,
    seen: Seen,
    pace: Pace,
    *,
    urls: Sequence[str],
    token: str,
    name: str,
) -> None:
    """Ask one process for a slot, run, and tell any of ``urls`` the end; again and again."""
    stub = rls_pb2_grpc.RateLimitServiceStub(channel)
    headers = {"authorization": f"Bearer {token}"}
    draw = random.Random(name)
    async with httpx.AsyncClient(headers=headers, timeout=_WITHIN_S) as http:
        for number in itertools.count():
            if pace.is_over():
                return
            request = f"{name}-{number}"
            since = time.time_ns()
            try:
                answer = await stub.ShouldRateLimit(_asked(seen, request), timeout=ASKED_WITHIN_S)
            except grpc.aio.AioRpcError:
                seen.failed += 1
                await asyncio.sleep(BACK_IN_S)
            else:
                passed = answer.overall_code == rls_pb2.RateLimitResponse.OK
                known = time.time_ns()
                seen.asked.append((since, known, passed))
                await asyncio.sleep(draw.uniform(0, RUNS_S))
                if not passed:
                    continue
                seen.held.append((known, time.time_ns()))
            await _ended(http, draw.sample(urls, len(urls)), seen, request, pace)


def _asked(seen: Seen, request: str) -> rls_pb2.RateLimitRequest:
    asked = rls_pb2.RateLimitRequest(domain="midstage")
    descriptor = asked.descriptors.add()
    told = {"customer": seen.limit.customer, "app": APP, "request_id": request}
    for key, value in told.items():
        descriptor.entries.add(key=key, value=value)
    return asked


async def _ended(
    http: httpx.AsyncClient, urls: Sequence[str], seen: Seen, request: str, pace: Pace
) -> None:
    """Told until one says that it has heard; some of those before may have heard it too."""
    body = {"request": request, "customer": seen.limit.customer, "app": APP}
    for url in itertools.cycle(urls):
        try:
            answer = await http.post(f"{url}/v1/settlements", json=body)
        except httpx.TransportError:
            await asyncio.sleep(BACK_IN_S)
        else:
            if answer.is_success:
                return
            await asyncio.sleep(BACK_IN_S)
        if pace.is_over():
            return
