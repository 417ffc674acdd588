"""One process's share of the customers, over a log that is in the test's hand."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from midstage.contracts.spends import CustomersLeft, CustomersTaken
from midstage.testkit.clock import NOON
from midstage.throttle.decide.kept import Kept
from midstage.throttle.decide.meters.window import LifetimeQuota
from midstage.throttle.decide.opening import Opening, opened
from midstage.throttle.metrics import Metrics
from midstage.throttle.stream.handing import Handing
from midstage.throttle.stream.holdings import Holdings
from midstage.throttle.stream.sharing import Sharing

COUNT = 6


@dataclass
class Hand:
    """The log of counters in the test's hand: what is asked for is true when the test says so.

    Others leave what they are asked for, but for those who are ``deaf``.
    """

    holdings: Holdings
    partitions: range = range(COUNT)
    asked: list[CustomersTaken | CustomersLeft] = field(default_factory=list)
    is_away: bool = False
    deaf: set[str] = field(default_factory=set)
    wants: list[tuple[int, str]] = field(default_factory=list)

    def closed(self) -> str | None:
        return "away" if self.is_away else None

    def partition(self, customer: str) -> int:
        return len(customer)

    def assign(self, to: Mapping[int, CustomersTaken]) -> None:
        epochs = {number: self.epoch(number) + 1 for number in to}
        self.asked += self.holdings.taken(to, epochs, NOON)

    def want(self, partition: int) -> None:
        held = self.holdings.holders()[partition]
        self.wants.append((partition, held.owner))
        if held.owner in self.deaf:
            return
        self.asked += [
            CustomersLeft(partition=partition, owner=held.owner, epoch=held.epoch, at=NOON),
            taken(partition, self.holdings.me.owner, epoch=held.epoch + 1),
        ]

    def leave(self, to: Mapping[int, CustomersTaken | None]) -> None:
        for number, successor in to.items():
            left = self.holdings.left(number, successor, NOON)
            if left is not None:
                self.asked.append(left)
            if left is not None and successor is not None:
                self.asked.append(taken(number, successor.owner, epoch=left.epoch + 1))

    def accept(self) -> None:
        asked, self.asked = self.asked, []
        for each in asked:
            self.holdings.heard(each)

    def epoch(self, number: int) -> int:
        holder = self.holdings.holders().get(number)
        return holder.epoch if holder else 0

    def held(self) -> dict[str, list[int]]:
        held: dict[str, list[int]] = {}
        for number, each in self.holdings.holders().items():
            held.setdefault(each.owner, []).append(number)
        return held


@dataclass
class Counters:
    """What a process counts: so many checks wait for it, and so much of it was written."""

    count: int = 1
    waiting: int = 0
    left: list[int] = field(default_factory=list)

    def rooms(self, concerned: Callable[[str], bool]) -> Sequence[Kept]:
        del concerned
        key = ("limit", "acme", "")
        opening = Opening(key=key, unit="", stood=None, now_ns=0, asked=lambda _: None)
        room = opened(LifetimeQuota(limit=1), opening)
        assert room is not None
        return [room] * self.count

    def leave(self, rooms: Iterable[Kept]) -> bool:
        self.left.append(len(list(rooms)))
        return True

    def is_waited_for(self, concerned: Callable[[str], bool]) -> bool:
        del concerned
        self.waiting -= 1
        return self.waiting >= 0


class Process:
    """One process's share, over a hand."""

    def __init__(self, *held: str, silent: Iterable[str] = (), deaf: Iterable[str] = ()) -> None:
        self.hand = Hand(Holdings(taken(0, "me", epoch=1)), deaf=set(deaf))
        for number, name in enumerate(held):
            self.hand.holdings.heard(taken(number, name, epoch=1))
        self.silent = set(silent)
        self.now_s = 1000.0
        self.kept = Counters()
        self.sharing = Sharing(
            spends=self.hand,
            handing=Handing(
                spends=self.hand,
                rooms=self.kept.rooms,
                keeping=self.kept,
                answer_within_s=60.0,
            ),
            closed=lambda: None,
            answers=self.answers,
            monotonic=lambda: self.now_s,
            metrics=Metrics(CollectorRegistry()),
        )

    async def answers(self, holder: CustomersTaken) -> bool:
        return holder.owner not in self.silent

    def turn(self) -> dict[str, list[int]]:
        self.sharing.turn()
        self.hand.accept()
        self.sharing.turn()
        return self.hand.held()

    def started(self) -> dict[str, list[int]]:
        """After the first steps, as ``run`` makes them."""

        async def story() -> None:
            stop = asyncio.Event()
            running = asyncio.create_task(self.sharing.run(stop))
            async with asyncio.timeout(60):
                while self.sharing.counting() is not None:
                    self.hand.accept()
                    await asyncio.sleep(0)
            running.cancel()

        asyncio.run(story())
        return self.hand.held()


def taken(number: int, owner: str, *, epoch: int, address: str = "") -> CustomersTaken:
    return CustomersTaken(
        partition=number,
        owner=owner,
        epoch=epoch,
        address=address or f"{owner}:1",
        at=NOON,
    )
