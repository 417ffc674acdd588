"""The log of counters from one process's side: what it writes, in which order, and what not."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import pytest

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.fact import Event, Fact
from midstage.contracts.spends import ROOM_TAKEN, CustomersLeft, CustomersTaken, RoomTaken
from midstage.eventlog.codec import Decoder, message
from midstage.eventlog.log import BEGINNING
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.own_claims import Written
from midstage.throttle.stream.spending import Spending
from tests.throttle.conftest import memory
from tests.throttle.logged import put

KEY: Key = ("limit", "acme", "")


@pytest.fixture
def log() -> MemoryLog:
    return memory()


def test_a_claim_under_way_is_not_followed_by_an_older_one(log: MemoryLog) -> None:
    """A zombie's late record is disputed; what is written again must be the newest."""
    with following(log) as mine:
        taken(mine)
        claimed(mine, 1)
        disputed = threading.Event()
        mine.on_heard(disputed.set)
        put_late(log, mine, standing="9")
        assert disputed.wait(60)
        mine.write([written(2)])
        within(60, lambda: told(mine, 2))
        assert [each.standing for each in rooms(log)] == [("1",), ("9",), ("2",)]


def test_what_was_disputed_is_written_again(log: MemoryLog) -> None:
    with following(log) as mine:
        taken(mine)
        claimed(mine, 1)
        put_late(log, mine, standing="9")
        within(60, lambda: mine.heard() and rooms(log)[-1].standing == ("1",))
        assert [each.standing for each in rooms(log)] == [("1",), ("9",), ("1",)]


def test_what_it_does_not_hold_it_does_not_claim(log: MemoryLog) -> None:
    with following(log) as mine:
        within(60, lambda: mine.closed() is None)
        mine.write([written(1)])
        claims, _ = mine.heard()
        assert [(each.claim, each.counts) for each in claims] == [((1,), False)]
        taken(mine)
        mine.leave({mine.partition("acme"): None})
        mine.write([written(2)])
        within(60, lambda: any(not each.counts for each in mine.heard()[0]))
        assert rooms(log) == []


def test_who_leaves_says_so_between_its_last_claim_and_its_successor(log: MemoryLog) -> None:
    with following(log) as mine, following(log, owner="other") as other:
        taken(mine)
        within(60, lambda: other.heard() and other.closed() is None)
        number = mine.partition("acme")
        mine.write([written(7)])
        mine.leave({number: other.holdings.me})
        assert mine.holder("acme") == other.holdings.me
        within(60, lambda: number in (other.heard() and other.holdings.mine()))
        facts = [each for each in facts_in(log) if getattr(each, "partition", number) == number]
        kinds = [type(each) for each in facts]
        assert kinds == [CustomersTaken, RoomTaken, CustomersLeft, CustomersTaken]
        stood = other.stood(KEY)
        assert stood is not None
        assert stood.claim == (7,)


def test_two_that_take_the_same_are_told_apart_by_the_first_record(log: MemoryLog) -> None:
    with following(log, owner="a") as first, following(log, owner="b") as second:
        both = (first, second)
        within(60, lambda: all(each.closed() is None for each in both))
        for each in both:
            each.assign(dict.fromkeys(each.partitions, each.holdings.me))
        within(60, lambda: all(each.heard() and each.holdings.is_settled() for each in both))
        assert first.holdings.mine() | second.holdings.mine() == frozenset(range(6))
        assert not first.holdings.mine() & second.holdings.mine()


@contextmanager
def following(log: MemoryLog, owner: str = "me") -> Iterator[Spending]:
    spending = Spending(
        log=log,
        topic=topics.SPENDS,
        owner=owner,
        address=f"{owner}:1",
        http_address=f"{owner}:2",
        now=SystemClock().now,
        now_ns=time.time_ns,
        monotonic=time.monotonic,
    )
    stop = threading.Event()
    thread = threading.Thread(target=spending.run, args=(stop,))
    thread.start()
    try:
        yield spending
    finally:
        stop.set()
        thread.join(60)


def taken(spending: Spending) -> None:
    within(60, lambda: spending.closed() is None)
    spending.assign(dict.fromkeys(spending.partitions, spending.holdings.me))
    within(60, lambda: spending.heard() and len(spending.holdings.mine()) == 6)


def written(claim: int) -> Written:
    return Written(key=KEY, algorithm="lifetime", claim=(claim,))


def claimed(spending: Spending, claim: int) -> None:
    spending.write([written(claim)])
    within(60, lambda: told(spending, claim))


def told(spending: Spending, claim: int) -> bool:
    return any(each.claim == (claim,) and each.counts for each in spending.heard()[0])


def put_late(log: MemoryLog, spending: Spending, *, standing: str) -> None:
    """What another one wrote who counted before."""
    limit, customer, key = KEY
    fact = RoomTaken(
        limit=limit,
        customer=customer,
        key=key,
        units=0,
        algorithm="lifetime",
        standing=(standing,),
        owner="zombie",
        epoch=1,
        at=SystemClock().now(),
    )
    event: Event[Fact] = Event(
        id="zombie/1", source="zombie", type=ROOM_TAKEN, time=fact.at, data=fact
    )
    record = message(event, topic=topics.SPENDS.name, key=msgspec.json.encode(KEY).decode())
    put(log, msgspec.structs.replace(record, partition=spending.partition(customer)))


def rooms(log: MemoryLog) -> Sequence[RoomTaken]:
    return [each for each in facts_in(log) if isinstance(each, RoomTaken)]


def facts_in(log: MemoryLog) -> Sequence[Fact]:
    """All of the log; those of one partition in their order."""
    decoder = Decoder(topics.SPENDS)
    places = log.partitions(topics.SPENDS.name)
    ends = log.ends(places)
    reader = log.reader(dict.fromkeys(places, BEGINNING))
    facts: list[Fact] = []
    while any(reader.positions()[place] < end for place, end in ends.items()):
        facts += [decoder(each).data for each in reader.poll(most=1000, timeout_s=1.0)]
    reader.close()
    return facts
