"""A throttle's gate and its gRPC server over limits that are in the test's hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)
from prometheus_client import CollectorRegistry

from midstage.contracts.algorithms import TokenBucket
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.adapters.envoy import RateLimitServer
from midstage.throttle.adapters.unjudged import Unjudged
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Ended
from midstage.throttle.model.limits import Standing
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.unkept import Unkept

OK = rls_pb2.RateLimitResponse.OK
OVER_LIMIT = rls_pb2.RateLimitResponse.OVER_LIMIT
TINY = 0.000001
WITHIN_S = 60.0
Clock = Callable[[], int]


class Held:
    """The limits of a log that is in the test's hand."""

    def __init__(self, *facts: LimitSet, behind: str | None = None) -> None:
        self.behind = behind
        self.asked = 0
        self._slots: Mapping[str, Standing] = {}
        self._number = 0
        self.set(*facts)

    def set(self, *facts: LimitSet) -> None:
        gone = dict.fromkeys(self._slots, Standing())
        self._slots = gone | {f"limit/{fact.limit}": Standing(fact=fact) for fact in facts}
        self._number += 1

    def changes(self, since: int) -> tuple[int, Mapping[str, Standing]]:
        return self._number, self._slots if since != self._number else {}

    def caught_up(self) -> str | None:
        self.asked += 1
        return self.behind


@dataclass(slots=True, kw_only=True)
class Platform:
    """A gate and its gRPC server on a free port, and a caller."""

    log: Held
    gate: Gate
    server: RateLimitServer
    registry: CollectorRegistry
    stop: asyncio.Event
    caller: rls_pb2_grpc.RateLimitServiceStub | None = None

    @property
    def port(self) -> int:
        assert self.server.port is not None
        return self.server.port

    @property
    def stub(self) -> rls_pb2_grpc.RateLimitServiceStub:
        assert self.caller is not None
        return self.caller

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            self.caller = rls_pb2_grpc.RateLimitServiceStub(channel)
            yield

    async def ask(self, customer: str, app: str, *, hits: int = 0) -> rls_pb2.RateLimitResponse:
        return await self.stub.ShouldRateLimit(question(customer, app, hits=hits))

    async def passes(self, customer: str, app: str, *, hits: int) -> bool:
        answer = await self.ask(customer, app, hits=hits)
        return bool(answer.overall_code == OK)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not await holds():
                await asyncio.sleep(0.01)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


async def now(holds: bool) -> bool:
    return holds


def run(
    story: Callable[[Platform], Awaitable[None]],
    *facts: LimitSet,
    caller_timeout_s: float = 60.0,
    late_below_s: float = 0.0,
    clock: Clock = time.monotonic_ns,
) -> None:
    """Tell the story of a server that stands; ``clock`` is that of its buckets."""

    async def told() -> None:
        async with platform_of(
            Held(*facts),
            caller_timeout_s=caller_timeout_s,
            late_below_s=late_below_s,
            clock=clock,
        ) as platform:
            await platform.until(lambda: now(platform.server.port is not None))
            async with platform.connected():
                await story(platform)

    asyncio.run(told())


@asynccontextmanager
async def platform_of(
    log: Held,
    *,
    caller_timeout_s: float = 60.0,
    late_below_s: float = 0.0,
    clock: Clock = time.monotonic_ns,
) -> AsyncIterator[Platform]:
    registry = CollectorRegistry()
    gate, metrics = gate_over(
        log,
        registry,
        caller_timeout_s=caller_timeout_s,
        late_below_s=late_below_s,
        clock=clock,
    )
    unjudged = Unjudged(metrics=metrics, monotonic=time.monotonic)
    server = RateLimitServer(
        host="127.0.0.1",
        port=0,
        answer=gate.check,
        foreign=unjudged.foreign,
        malformed=unjudged.malformed,
        closed=gate.closed,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(gate.run(stop))
        tasks.create_task(server.run(stop))
        yield Platform(log=log, gate=gate, server=server, registry=registry, stop=stop)
        stop.set()


def gate_over(
    log: Held,
    registry: CollectorRegistry | None = None,
    *,
    caller_timeout_s: float = 60.0,
    late_below_s: float = 0.0,
    clock: Clock = time.monotonic_ns,
    ended: Callable[[], Iterable[Ended]] = tuple,
) -> tuple[Gate, Metrics]:
    metrics = Metrics(registry or CollectorRegistry())
    gate = Gate(
        limits=log,
        keeping=Unkept(),
        monotonic_ns=clock,
        wall_ns=time.time_ns,
        metrics=metrics,
        caller_timeout_s=caller_timeout_s,
        late_below_s=late_below_s,
        ended=ended,
    )
    return gate, metrics


def question(
    customer: str, app: str, *, hits: int = 0, domain: str = "midstage"
) -> rls_pb2.RateLimitRequest:
    asked = rls_pb2.RateLimitRequest(domain=domain, hits_addend=hits)
    descriptor = asked.descriptors.add()
    descriptor.entries.add(key="customer", value=customer)
    descriptor.entries.add(key="app", value=app)
    descriptor.entries.add(key="request_id", value="7f0c")
    return asked


def sent(answer: rls_pb2.RateLimitResponse) -> dict[str, str]:
    return {option.key: option.value for option in answer.response_headers_to_add}


def limit(
    customer: str, app: str, *, rate_per_s: float, burst: int, rule: str = "open"
) -> LimitSet:
    """A token bucket; a rate is a whole number, or one in so many seconds."""
    amount = max(1, int(rate_per_s))
    return LimitSet(
        limit=f"{customer}-{app}",
        customer=customer,
        app=app,
        amount=amount,
        algorithm=TokenBucket(period_s=round(amount / rate_per_s), burst=burst),
        on_failure=FailureRule(rule),
        at=NOON,
    )
