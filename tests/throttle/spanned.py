"""Processes that count one limit over all customers, on a clock, a log and a network in hand.

Every process is the gate, the rooms and both sides of the parts as ``main`` composes them. What
they admit is judged by one meter that never dies: it has to let pass all of it, in its order.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

from prometheus_client import CollectorRegistry

from midstage.contracts.limits import LimitSet
from midstage.contracts.spends import CustomersTaken, Unanswered
from midstage.testkit.clock import NOON
from midstage.throttle.decide.metering import meter_of
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.decide.spends import Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.holding import NOTHING_IMPLIED, Holding
from midstage.throttle.model.later import Later
from midstage.throttle.model.limits import Key
from midstage.throttle.model.parts import UNSAID, PartAsked, PartLent
from midstage.throttle.stream.apportioning import Apportioning
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.own_claims import Written
from midstage.throttle.stream.parts import Parts
from midstage.throttle.stream.rooms import Rooms
from tests.throttle.gated import Held

BEGAN_NS = 1_800_000_000_000_000_000
NAME = "all"
TURNS = 12
FATES = ["answered", "question lost", "answer lost", "heard twice", "cut", "mended"]
_MS = 1_000_000


class Pen:
    """One process's way to the log: what it writes of the limit is accepted while it counts."""

    def __init__(self, stand: dict[Key, Stood], counts: Callable[[], bool]) -> None:
        self._stand = stand
        self._counts = counts
        self._heard: list[Written] = []
        self.has_gained = False

    def stood(self, key: Key) -> Stood | None:
        return self._stand.get(key)

    def write(self, claims: Sequence[Written]) -> None:
        counts = [each for each in claims if each.key[0] != NAME or self._counts()]
        self._stand |= {c.key: Stood(algorithm=c.algorithm, claim=c.claim) for c in counts}
        self._heard += counts

    def heard(self) -> tuple[Sequence[Written], frozenset[int]]:
        heard, self._heard = self._heard, []
        gained = frozenset({self.partition(NAME)} if self.has_gained else ())
        self.has_gained = False
        return heard, gained

    def partition(self, customer: str) -> int:
        return len(customer)

    def unanswered(
        self, partitions: Collection[int]
    ) -> Sequence[tuple[Key, tuple[Unanswered, ...]]]:
        """No limit here is strict."""
        del partitions
        return ()

    def holding(self, customer: str) -> Holding:
        """All is claimed before it is used."""
        del customer
        return NOTHING_IMPLIED

    def renew(self) -> None:
        """Nothing is implied."""

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """Nobody comes next to whom it would matter."""

    def on_heard(self, call: Callable[[], None]) -> None:
        """It is asked for."""


class Process:
    """``owner`` is its name; it counts for its customers, and for the limit while it is said to."""

    def __init__(self, world: "World", owner: str) -> None:
        self.owner = owner
        self.world = world
        metrics = Metrics(CollectorRegistry())
        self.pen = Pen(world.stand, lambda: world.owner == owner)
        self.rooms = Rooms(spends=self.pen, now_ns=world.now, metrics=metrics)
        self.parts = Parts(keeping=self.rooms, owning=self, ask=self._ask, now_ns=world.now)
        self.gate = Gate(
            limits=Held(*world.limits),
            keeping=self.parts,
            monotonic_ns=world.now,
            wall_ns=world.now,
            metrics=metrics,
            caller_timeout_s=60.0,
            late_below_s=0.0,
        )
        self.apportioning = Apportioning(
            owning=self,
            keeping=self.rooms,
            account=self.gate.account,
            now_ns=world.now,
            told=metrics.parts.inc,
        )
        self.rooms.on_gained(self.gate.moving.forget)
        assert self.gate.closed() is None

    def holder(self, customer: str) -> CustomersTaken | None:
        known = self.world.known_by(self.owner)
        if customer != NAME or known == self.owner:
            return None
        return CustomersTaken(partition=0, owner=known, epoch=1, address="there", at=NOON)

    async def check(self, units: int, customer: str = "acme") -> Judged | None:
        """The verdict, once nothing more comes of waiting; None: it waits in vain."""
        told: list[Judged | None] = []
        answer = self.gate.check(Check(customer=customer, app="chat", hits=units), None)
        if isinstance(answer, Later):
            answer.then(told.append)
        else:
            told.append(answer)
        for _ in range(TURNS):
            if told:
                break
            await self.world.turn()
        judged = told[0] if told else None
        if judged is not None and judged.admitted:
            self.world.passed.append((self.world.now_ns, units))
        return judged

    async def _ask(self, holder: CustomersTaken, asked: PartAsked) -> PartLent:
        return await self.world.carry(holder.owner, asked)


class World:
    """Who counts, what stands in the log, what the network does, and all that was admitted."""

    def __init__(self, *limits: LimitSet, processes: int = 3) -> None:
        self.limits = limits
        self.now_ns = BEGAN_NS
        self.stand: dict[Key, Stood] = {}
        self.owner = "p0"
        self.stale: set[str] = set()
        self.before = ""
        self.fates: list[str] = []
        self.is_cut = False
        self.passed: list[tuple[int, int]] = []
        self.asked: list[PartAsked] = []
        self.processes = {f"p{number}": Process(self, f"p{number}") for number in range(processes)}
        self.started = processes

    def now(self) -> int:
        return self.now_ns

    def known_by(self, process: str) -> str:
        """Whom it takes for the limit's owner: who is stale has not heard of the last change."""
        return self.before if process in self.stale else self.owner

    async def turn(self) -> None:
        """What is under way arrives."""
        for process in list(self.processes.values()):
            process.parts.turn()
            process.rooms.turn()
        await asyncio.sleep(0)

    async def settle(self) -> None:
        for _ in range(TURNS):
            await self.turn()

    async def step(self, what: str, one: int, other: int) -> None:
        """Something happens, to one process or to all."""
        names = sorted(self.processes)
        name = names[one % len(names)]
        match what:
            case "check":
                await self.processes[name].check(other)
            case "use up":
                for _ in range(60 // other):
                    await self.processes[name].check(other)
            case "pass time":
                await self._pass_time(one * _MS, turns=other)
            case "crash":
                self.crash(name, names[other % len(names)])
            case "take over":
                self.own(name, unnoticed=bool(other))
            case "repeat":
                self.repeat(one)
            case _:
                self._fate(FATES[one])

    async def _pass_time(self, ns: int, *, turns: int) -> None:
        self.now_ns += ns
        for _ in range(turns):
            await self.turn()

    def _fate(self, fate: str) -> None:
        if fate in ("cut", "mended"):
            self.is_cut = fate == "cut"
        else:
            self.fates.append(fate)

    async def carry(self, owner: str, asked: PartAsked) -> PartLent:
        """By the network: answered, lost on the way there or back, or heard twice."""
        fate = self.fates.pop() if self.fates else "answered"
        self.asked.append(asked)
        there = self.processes.get(owner)
        if there is None or self.is_cut or fate == "question lost":
            return UNSAID
        lent = await self._answer(there, asked)
        if fate == "heard twice":
            await self._answer(there, asked)
        return UNSAID if fate == "answer lost" else lent

    def repeat(self, at: int) -> None:
        """An old question arrives again, and nobody waits for its answer."""
        if self.asked:
            asked = self.asked[at % len(self.asked)]
            if asked.owner in self.processes:
                self.processes[asked.owner].apportioning.lend(asked)

    def crash(self, name: str, heir: str | None) -> None:
        """The process is gone and comes again under another name; its heir counts from now on."""
        del self.processes[name]
        fresh = f"p{self.started}"
        self.started += 1
        if name == self.owner:
            self.own(heir if heir in self.processes else fresh)
        self.processes[fresh] = Process(self, fresh)

    def own(self, name: str, *, unnoticed: bool = False) -> None:
        """Who counts from now on; the one before may not have heard of it yet."""
        if name != self.owner:
            self.before, self.owner = self.owner, name
        self.stale = {self.before} if unnoticed and self.before != name else set()
        heir = self.processes.get(name)
        if heir is not None:
            heir.pen.has_gained = True
            heir.rooms.turn()

    def overshoot(self) -> int:
        """Units that one meter would not have let pass."""
        (limit,) = (each for each in self.limits if each.limit == NAME)
        meter = meter_of(limit, BEGAN_NS, WallClock())
        return sum(units for at, units in self.passed if not meter.take(units, at))

    async def _answer(self, there: Process, asked: PartAsked) -> PartLent:
        answer = there.apportioning.lend(asked)
        if not isinstance(answer, Later):
            return answer
        told: list[PartLent] = []
        answer.then(told.append)
        for _ in range(TURNS):
            if told:
                return told[0]
            there.rooms.turn()
            await asyncio.sleep(0)
        return UNSAID
