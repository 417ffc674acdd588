"""Throttle under load is killed again and again: what was admitted, and what limits allowed.

``python -m tests.throttle.crashes --kafka ADDRESS --kills N [--unkept]`` prints a line for each
limit, and ends with 1 where more was admitted than any window allows, or less than 90 %. Callers
wait for each answer, so what they saw pass lies between two moments of one clock. All limits are
closed when they can't be counted: nothing passes by a failure rule.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)

from midstage.contracts.algorithms import TokenBucket
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON
from midstage.testkit.kill import ordered
from midstage.throttle.decide.meters import bucket
from tests.ports import free_port
from tests.throttle.dying import named
from tests.throttle.logged import put, set_by

LIMITS = ((1, 20, 40), (20, 1, 40), (50, 1, 100), (20, 1, 40))
"""Tokens that come in, in so many seconds, and burst; the last limit is strict."""
PLACES = ("room_claimed", "room_sent", "room_accepted")
PACE_S = 0.001
DIES_WITHIN_S = 60.0
READY_WITHIN_S = 60.0
ENOUGH = 0.9
TOKEN_TEXT = "a-token-of-this-run"
_NS = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class Calls:
    """What one customer was answered: when it asked, when it knew, whether it passed."""

    amount: int
    period_s: int
    burst: int
    asked: list[tuple[int, int, bool]] = field(default_factory=list)
    failed: int = 0

    def admitted(self) -> int:
        """How many passed."""
        return sum(passed for _, _, passed in self.asked)

    def allowed(self) -> int:
        """What one bucket that never dies lets pass of the calls that were answered."""
        meter = bucket.TokenBucket(
            units=self.amount,
            period_ns=self.period_s * _NS,
            burst=self.burst,
            now_ns=self.asked[0][0],
        )
        return sum(meter.take(1, known) for _, known, _ in self.asked)

    def overshoot(self) -> float:
        """The most by which any window exceeds burst + rate x time; 0 or less: none does."""
        worst = lowest = float("-inf")
        rate = self.amount / self.period_s
        passed = [(since, known) for since, known, ok in self.asked if ok]
        for number, (since, known) in enumerate(passed):
            lowest = max(lowest, rate * since / _NS - number)
            worst = max(worst, number + 1 + lowest - rate * known / _NS - self.burst)
        return worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a run."""

    calls: Sequence[Calls]
    kills: int

    @property
    def overshoot(self) -> float:
        """Of the worst window of all limits."""
        return max(each.overshoot() for each in self.calls)

    @property
    def share(self) -> float:
        """Of what the limits allowed, all together."""
        allowed = sum(each.allowed() for each in self.calls)
        return sum(each.admitted() for each in self.calls) / allowed


class Crashing:
    """One run: a process, its killer and its callers."""

    def __init__(self, *, kafka: str, directory: Path, kept: bool, seed: int) -> None:
        """Topics of its own, with the limits in them; what is not ``kept`` comes to no place."""
        self._random = random.Random(seed)
        self._kept = kept
        self._order = directory / "order"
        self._log = directory / "throttle.log"
        token = directory / "token"
        token.write_text(TOKEN_TEXT)
        token.chmod(0o600)
        run = uuid.uuid4().hex[:12]
        self.port = free_port()
        self._env = {
            **os.environ,
            "MIDSTAGE_THROTTLE_KAFKA": kafka,
            "MIDSTAGE_THROTTLE_PORT": str(free_port()),
            "MIDSTAGE_THROTTLE_GRPC_PORT": str(self.port),
            "MIDSTAGE_THROTTLE_TOKEN_FILE": str(token),
            "TEST_RUN": run,
            "TEST_KEPT": "yes" if kept else "no",
        }
        log = KafkaLog(bootstrap=kafka, client_id="test")
        limits, spends = named(run)
        for topic in (limits, spends):
            log.create(settings_of(topic))
        put(log, *[set_by(_fact(number), limits) for number in range(len(LIMITS))])
        self._calls = [
            Calls(amount=amount, period_s=period_s, burst=burst)
            for amount, period_s, burst in LIMITS
        ]
        self._done = False

    async def told(self, kills: int) -> Told:
        """Kill ``kills`` times while callers call, then let them call on for a moment."""
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{self.port}",
            options=[
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 100),
            ],
        ) as channel:
            stub = rls_pb2_grpc.RateLimitServiceStub(channel)
            async with asyncio.TaskGroup() as tasks:
                for number, calls in enumerate(self._calls):
                    tasks.create_task(self._calling(stub, f"customer-{number}", calls))
                try:
                    for number in range(kills):
                        await self._life(ordered_death=self._kept and number % 2 == 1)
                    process = await self._started()
                    await self._answered(more=200)
                    process.terminate()
                    await asyncio.to_thread(process.wait, DIES_WITHIN_S)
                finally:
                    self._done = True
        return Told(calls=self._calls, kills=kills)

    async def _life(self, *, ordered_death: bool) -> None:
        process = await self._started()
        try:
            if ordered_death:
                place = self._random.choice(PLACES)
                ordered(self._order, place, nth=self._random.randint(1, 40))
            else:
                await self._answered(more=self._random.randint(1, 600))
                process.kill()
            await asyncio.to_thread(process.wait, DIES_WITHIN_S)
        finally:
            process.kill()

    async def _started(self) -> subprocess.Popen[bytes]:
        killer = [sys.executable, "-m", "midstage.testkit.kill", "--order", str(self._order)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*killer, "--", "tests.throttle.dying"], env=self._env, stderr=log
            )
        try:
            await self._answered(more=1, process=process)
        except BaseException:
            process.kill()
            raise
        return process

    async def _answered(self, *, more: int, process: subprocess.Popen[bytes] | None = None) -> None:
        """Wait until so many more checks are answered."""
        goal = sum(len(each.asked) for each in self._calls) + more
        async with asyncio.timeout(READY_WITHIN_S):
            while sum(len(each.asked) for each in self._calls) < goal:
                if process is not None and process.poll() is not None:
                    raise RuntimeError(self._log.read_text()[-2000:])
                await asyncio.sleep(0.01)

    async def _calling(
        self, stub: rls_pb2_grpc.RateLimitServiceStub, customer: str, calls: Calls
    ) -> None:
        asked = rls_pb2.RateLimitRequest(domain="midstage")
        descriptor = asked.descriptors.add()
        descriptor.entries.add(key="customer", value=customer)
        descriptor.entries.add(key="app", value="chat")
        while not self._done:
            since = time.monotonic_ns()
            try:
                answer = await stub.ShouldRateLimit(asked, timeout=10)
            except grpc.aio.AioRpcError:
                calls.failed += 1
                await asyncio.sleep(0.05)
                continue
            passed = answer.overall_code == rls_pb2.RateLimitResponse.OK
            calls.asked.append((since, time.monotonic_ns(), passed))
            await asyncio.sleep(PACE_S)


def crashed(*, kafka: str, kills: int, kept: bool, seed: int) -> Told:
    """What came of a run of its own."""
    with tempfile.TemporaryDirectory() as directory:
        run = Crashing(kafka=kafka, directory=Path(directory), kept=kept, seed=seed)
        return asyncio.run(run.told(kills))


def main(arguments: Sequence[str]) -> int:
    """Run as asked; 0 where the limits held and enough passed."""
    parser = argparse.ArgumentParser(prog="tests.throttle.crashes")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unkept", action="store_true", help="counters die with the process")
    asked = parser.parse_args(arguments)
    told = crashed(kafka=asked.kafka, kills=asked.kills, kept=not asked.unkept, seed=asked.seed)
    for each in told.calls:
        sys.stdout.write(
            f"{each.amount} in {each.period_s} s, burst {each.burst}: {len(each.asked)} checks, "
            f"{each.failed} unanswered; {each.admitted()} admitted of {each.allowed()} allowed, "
            f"worst {each.overshoot():+.1f}\n"
        )
    holds = told.overshoot <= 0 and told.share >= ENOUGH
    sys.stdout.write(
        f"{told.kills} kills: overshoot {max(0.0, told.overshoot):.1f}, "
        f"admitted {told.share:.1%} of what is allowed\n"
    )
    return 0 if holds else 1


def _fact(number: int) -> LimitSet:
    amount, period_s, burst = LIMITS[number]
    return LimitSet(
        limit=f"limit-{number}",
        customer=f"customer-{number}",
        amount=amount,
        algorithm=TokenBucket(period_s=period_s, burst=burst),
        on_failure=FailureRule.CLOSED,
        strict=number == len(LIMITS) - 1,
        at=NOON,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
