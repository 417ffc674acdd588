"""One run: throttles that share the customers of one log, those who ask them, and what kills them.

Kills at random and at places in the code, while they work and while they stop; all restarted one
after the other; three, then two, then three again. In the end a while in which nothing happens.
Or nobody is killed, and they come and go in order again and again.
"""

import asyncio
import random
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc

from midstage.contracts.spends import CustomersTaken
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import BEGINNING, Log
from midstage.eventlog.topics import settings_of
from midstage.throttle.decide.lending import TERM_NS
from tests.kafka import kafka_log
from tests.throttle.crashes import slots
from tests.throttle.crashes.callers import Pace, calling, connected, holding
from tests.throttle.crashes.judging import Seen, Told
from tests.throttle.crashes.limited import AT_ONCE, LEASED, limits
from tests.throttle.crashes.owner import TOKEN, Owner
from tests.throttle.dying import named
from tests.throttle.logged import put, set_by

PLACES = ("room_claimed", "room_sent", "room_accepted")
ANSWERED_WITHIN_S = 300.0
ENDS_WITHIN_S = 180.0
FOUND_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``kept`` and ``counted`` are false in negative controls; ``steady`` checks end the run,
    in no less than ``steady_s``.

    They begin a term of leases after the last kill, unless they may take no time. Of
    ``rolled_each`` kills one is followed by a rolling restart, and half as many later one by
    a while with one process fewer; both come ``orderly`` times before anybody is killed.
    ``within_s``: nobody is killed later, and checks that are missing then come within three
    minutes, or not at all.
    """

    owners: int = 3
    kills: int = 20
    orderly: int = 0
    checks: int = 0
    steady: int = 3000
    steady_s: float = 20.0
    between: int = 300
    rolled_each: int = 10
    holders: int = 2
    rests_s: float = 0.001
    answer_within_ms: float = 30.0
    kept: bool = True
    counted: bool = True
    seed: int = 1
    within_s: float = 7200.0


class Crashing:
    """Topics of its own, with the limits in them, and places for the processes."""

    def __init__(self, plan: Plan, *, kafka: str, directory: Path) -> None:
        """Nothing is started yet."""
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._kafka_log = kafka_log(kafka)
        run = uuid.uuid4().hex[:12]
        topic, self._spends = named(run)
        for each in (topic, self._spends):
            self._kafka_log.create(settings_of(each))
        facts = limits()
        put(self._kafka_log, *[set_by(fact, topic) for fact in facts])
        self._seen = [Seen(limit=fact) for fact in facts]
        env = {
            "MIDSTAGE_THROTTLE_KAFKA": kafka,
            "MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS": f"{plan.answer_within_ms:g}",
            "MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS": f"{plan.answer_within_ms + 20:g}",
            "TEST_RUN": run,
            "TEST_KEPT": "yes" if plan.kept else "no",
            "TEST_COUNTED": "yes" if plan.counted else "no",
        }
        self._owners = [
            Owner(number=number, env=env, directory=directory) for number in range(plan.owners)
        ]
        self._kills = self._stops = 0
        self._is_over = False

    async def told(self) -> Told:
        """All that was planned, and then the steady end."""
        pace = Pace(rests_s=self._plan.rests_s, is_over=lambda: self._is_over)
        try:
            for owner in self._owners:
                await owner.start()
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                for owner in self._owners:
                    channel = await stack.enter_async_context(connected(owner.port))
                    for seen in self._seen:
                        if seen.limit.limit == AT_ONCE:
                            self._hold(owner, channel, seen, pace, tasks)
                        else:
                            tasks.create_task(calling(channel, seen, pace))
                for number in range(self._plan.holders):
                    url = self._owners[number % len(self._owners)].url
                    leased = next(each for each in self._seen if each.limit.limit == LEASED)
                    tasks.create_task(holding(url, f"holder-{number}", TOKEN, leased, pace))
                try:
                    steady_ns = await self._lived()
                finally:
                    self._is_over = True
            for owner in self._owners:
                await owner.stop()
        finally:
            for owner in self._owners:
                owner.end()
        return Told(
            seen=self._seen,
            kills=self._kills,
            stops=self._stops,
            takings=await asyncio.to_thread(_takings, self._kafka_log, self._spends),
            handed=sum(owner.total("handed_over") for owner in self._owners),
            forwarded=sum(owner.total("forwarded") for owner in self._owners),
            failure_mode_allowed=sum(each.total("failure_mode_allowed") for each in self._owners),
            steady_ns=steady_ns,
        )

    def _hold(
        self,
        owner: Owner,
        channel: grpc.aio.Channel,
        seen: Seen,
        pace: Pace,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Requests that run for a while, and end wherever they are heard."""
        urls = [each.url for each in self._owners]
        for number in range(slots.AT_ONCE):
            name = f"{owner.number}-{number}"
            runs = slots.running(channel, seen, pace, urls=urls, token=TOKEN, name=name)
            tasks.create_task(runs)

    async def _lived(self) -> int:
        """When the steady end began."""
        plan = self._plan
        until = time.monotonic() + plan.within_s
        await self._come_and_go(until)
        for number in range(plan.kills):
            if time.monotonic() > until:
                break
            await self._killed(number)
            if number % plan.rolled_each == plan.rolled_each // 2 - 1:
                for owner in self._owners:
                    await self._stopped(owner, away_for=0)
            if number % plan.rolled_each == plan.rolled_each - 1 and plan.owners > 1:
                await self._stopped(self._random.choice(self._owners), away_for=plan.between)
        if plan.kills and plan.steady_s:
            await asyncio.sleep(TERM_NS / 1e9)  # what was lent before the last kill comes back
        steady_ns = time.time_ns()
        await self._in_peace(until)
        return steady_ns

    async def _come_and_go(self, until: float) -> None:
        for _ in range(self._plan.orderly):
            if time.monotonic() > until:
                return
            one = self._random.choice(self._owners)
            await self._stopped(one, away_for=self._plan.between)
            for owner in self._owners:
                await self._stopped(owner, away_for=0)

    async def _in_peace(self, until: float) -> None:
        plan, begun = self._plan, time.monotonic()
        await self._answered(plan.steady)
        if not (plan.kept and plan.counted):
            await self._found_out()
        await asyncio.sleep(plan.steady_s - (time.monotonic() - begun))
        while self._checks() < plan.checks and time.monotonic() < until + ENDS_WITHIN_S:
            await self._answered(1)

    async def _found_out(self) -> None:
        """A control goes on until a window is exceeded, or nobody believes in it any more."""
        until = time.monotonic() + FOUND_WITHIN_S
        while time.monotonic() < until and max(each.overshoot() for each in self._seen) <= 0:
            await self._answered(100)

    async def _killed(self, number: int) -> None:
        owner = self._random.choice(self._owners)
        await self._answered(self._random.randint(1, self._plan.between))
        place = self._random.choice(PLACES)
        if number % 3 == 0 or not self._plan.kept:
            await owner.kill()
        elif number % 3 == 1:
            await owner.die(place, nth=self._random.randint(1, 20))
        else:
            await owner.die(place, nth=1, stopping=True)
        self._kills += 1
        await owner.start()

    async def _stopped(self, owner: Owner, *, away_for: int) -> None:
        await owner.stop()
        self._stops += 1
        if away_for:
            await self._answered(away_for)
        await owner.start()
        await self._answered(self._random.randint(1, self._plan.between))

    def _checks(self) -> int:
        return sum(len(each.asked) for each in self._seen)

    async def _answered(self, more: int) -> None:
        """Wait until so many more checks are answered; TimeoutError where none is for long."""
        goal = self._checks() + more
        while (before := self._checks()) < goal:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                while self._checks() == before:
                    await asyncio.sleep(0.01)


def crashed(plan: Plan, *, kafka: str) -> Told:
    """What came of a run of its own."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(Crashing(plan, kafka=kafka, directory=Path(directory)).told())


def _takings(log: Log, spends: Topic) -> int:
    """How often the customers of a partition came to another process, or back.

    Epochs follow each other, and compaction leaves the last one.
    """
    decoder = Decoder(spends)
    places = log.partitions(spends.name)
    ends = log.ends(places)
    reader = log.reader(dict.fromkeys(places, BEGINNING))
    epochs: dict[int, int] = {}
    try:
        while any(reader.positions()[place] < end for place, end in ends.items()):
            for record in reader.poll(most=1000, timeout_s=1.0):
                fact = decoder(record).data if record.value is not None else None
                if isinstance(fact, CustomersTaken):
                    epochs[fact.partition] = max(epochs.get(fact.partition, 0), fact.epoch)
    finally:
        reader.close()
    return sum(epochs.values())
