"""Who counts for which customers: even, with few moves, and alike for whoever reckons it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from midstage.contracts.spends import CustomersLeft, CustomersTaken
from midstage.testkit.clock import NOON
from midstage.throttle.decide.sharing import divided, wanted
from midstage.throttle.metrics import Metrics
from midstage.throttle.stream.holdings import Holdings
from midstage.throttle.stream.sharing import PATIENCE_S, Sharing

NAMES = ("a", "b", "c", "d")
HELD = st.dictionaries(st.integers(0, 11), st.sampled_from(NAMES), min_size=1)
COUNT = 6


@given(HELD, st.sampled_from(NAMES))
def test_who_takes_its_share_is_nowhere_two_below_and_takes_no_more(
    held: dict[int, str], me: str
) -> None:
    taken = wanted(held, me)
    after = Counter({**held, **dict.fromkeys(taken, me)}.values())
    assert max(after.values()) - after[me] < 2 or not taken
    assert len(set(taken)) == len(taken)
    assert all(held[number] != me for number in taken)
    before = Counter(held.values())
    others = [name for name in before if name != me and after[name] != before[name]]
    assert all(before[name] > after[name] >= after[me] - 1 for name in others)


@given(HELD)
def test_when_all_take_their_share_they_come_to_rest_within_one(held: dict[int, str]) -> None:
    moves = 0
    while any(wanted(held, me) for me in NAMES):
        for me in NAMES:
            taken = wanted(held, me)
            moves += len(taken)
            held = {**held, **dict.fromkeys(taken, me)}
        assert moves <= 2 * len(held)
    counts = Counter({**dict.fromkeys(NAMES, 0), **Counter(held.values())})
    assert max(counts.values()) - min(counts.values()) <= 1


@given(HELD, st.sets(st.sampled_from(NAMES)))
def test_the_customers_of_who_is_gone_go_to_all_others(
    held: dict[int, str], gone: set[str]
) -> None:
    free = [number for number, name in held.items() if name in gone]
    living = sorted({*held.values()} - gone)
    given_ = divided(free, held, living)
    assert set(given_) == (set(free) if living else set())
    kept = Counter(name for name in held.values() if name in living)
    after = Counter({**kept}) + Counter(given_.values())
    least = min((after[name] for name in living), default=0)
    assert all(after[name] <= least + 1 for name in given_.values())


@dataclass
class Hand:
    """The log of counters in the test's hand: what is asked for is true when the test says so."""

    holdings: Holdings
    partitions: range = range(COUNT)
    asked: list[CustomersTaken | CustomersLeft] = field(default_factory=list)
    is_away: bool = False

    def closed(self) -> str | None:
        return "away" if self.is_away else None

    def partition(self, customer: str) -> int:
        return len(customer)

    def assign(self, to: Mapping[int, CustomersTaken]) -> None:
        epochs = {number: self.epoch(number) + 1 for number in to}
        self.asked += self.holdings.taken(to, epochs, NOON)

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


class Process:
    """One process's share, over a hand."""

    def __init__(self, *held: str, silent: Iterable[str] = ()) -> None:
        self.hand = Hand(Holdings(taken(0, "me", epoch=1)))
        for number, name in enumerate(held):
            self.hand.holdings.heard(taken(number, name, epoch=1))
        self.silent = set(silent)
        self.now_s = 1000.0
        self.left: list[str] = []
        self.sharing = Sharing(
            spends=self.hand,
            rooms=lambda _: (),
            leave=lambda _: True,
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


def test_the_first_takes_all() -> None:
    assert Process().started() == {"me": [0, 1, 2, 3, 4, 5]}


def test_who_comes_takes_its_share_of_those_who_have_most() -> None:
    assert Process(*"aaabbb").started() == {"a": [0, 1], "b": [3, 4], "me": [2, 5]}


def test_who_does_not_answer_at_the_start_has_nothing_any_more() -> None:
    held = Process(*"aaabbb", silent="a").started()
    assert sorted(held) == ["b", "me"]
    assert [len(each) for each in held.values()] == [3, 3]


def test_who_was_at_this_address_before_is_not_even_asked() -> None:
    process = Process(*"aabbbb")
    for number in (0, 1):
        process.hand.holdings.heard(taken(number, "before", epoch=2, address="me:1"))
    held = process.started()
    assert sorted(held) == ["b", "me"]


def test_what_was_taken_by_mistake_is_taken_again_but_later_each_time() -> None:
    process = Process(*"aaabbb")
    process.started()
    process.turn()
    waits = []
    for epoch in (10, 20, 30):
        for number in range(COUNT):
            process.hand.holdings.heard(taken(number, "a", epoch=epoch))
        assert "me" not in process.turn()
        waited = 0.0
        while "me" not in process.turn():
            process.now_s += PATIENCE_S / 2
            waited += PATIENCE_S / 2
        waits.append(waited)
    assert waits == [PATIENCE_S, 2 * PATIENCE_S, 4 * PATIENCE_S]


def test_one_that_is_gone_is_divided_among_the_others_at_once() -> None:
    process = Process(*"aaabbb")
    process.started()
    gone = process.hand.holdings.holder(0)
    assert gone is not None
    process.sharing.gone(gone)
    process.hand.accept()
    held = process.hand.held()
    assert sorted(held) == ["b", "me"]
    assert [len(each) for each in held.values()] == [3, 3]
    process.sharing.gone(gone)
    assert not process.hand.asked, "it holds nothing any more"


def test_a_log_that_is_away_names_nobody() -> None:
    process = Process(*"aaabbb")
    process.started()
    gone = process.hand.holdings.holder(0)
    assert gone is not None
    process.hand.is_away = True
    process.sharing.gone(gone)
    process.sharing.turn()
    assert not process.hand.asked


def test_what_is_left_is_asked_elsewhere_before_it_is_read_back() -> None:
    holdings = Holdings(taken(0, "me", epoch=1))
    holdings.heard(taken(0, "me", epoch=4))
    successor = taken(3, "b", epoch=2)
    left = holdings.left(0, successor, NOON)
    assert left == CustomersLeft(partition=0, owner="me", epoch=4, at=NOON)
    assert holdings.epoch(0) is None
    assert holdings.holder(0) == successor
    assert not holdings.is_settled()
    assert holdings.left(0, successor, NOON) is None
    holdings.heard(left)
    holdings.heard(taken(0, "b", epoch=5))
    assert holdings.is_settled()
    assert not holdings.is_free(0)


def taken(number: int, owner: str, *, epoch: int, address: str = "") -> CustomersTaken:
    return CustomersTaken(
        partition=number,
        owner=owner,
        epoch=epoch,
        address=address or f"{owner}:1",
        at=NOON,
    )
