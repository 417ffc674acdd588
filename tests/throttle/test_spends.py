"""What counts of the log of counters, how it is read, and what is cleared from it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from midstage.contracts.errors import UnreadableError
from midstage.contracts.spends import CustomersLeft, CustomersTaken, RoomTaken, Unanswered
from midstage.contracts.topics import SPENDS
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import BEGINNING, Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from midstage.throttle.decide.holders import Heard
from midstage.throttle.decide.spends import Cleared, Spends, Stood
from midstage.throttle.model.limits import Key
from midstage.throttle.stream import spent
from midstage.throttle.stream.own_claims import Written
from midstage.throttle.stream.spending import Spending
from tests.throttle.conftest import memory

ACME: Key = ("rate", "acme", "")
WEB: Key = ("rate", "acme", "web")
STOOD = Stood(algorithm="lifetime of requests", claim=(7,))
TOPIC = SPENDS.name


class Told:
    """A fold that is told records as they stand in the topic."""

    def __init__(self) -> None:
        self.spends = Spends()
        self.reading = spent.Reading(Decoder(SPENDS))
        self.offset = 0

    def __call__(self, written: Message) -> Heard:
        self.offset += 1
        claimed = None if written.value is None else spent.claimed(written.value)
        if claimed is not None:
            return Heard.OVER if self.spends.claimed([claimed], 0) else Heard.COUNTS
        (fact,) = self.reading(
            Record(
                partition=Partition(topic=TOPIC, number=0),
                offset=self.offset,
                key=written.key,
                value=written.value,
                headers=written.headers,
            )
        )
        return self.spends.apply(fact, 0)


@pytest.fixture
def told() -> Told:
    return Told()


def claim(
    key: Key = ACME,
    *,
    owner: str = "one",
    epoch: int = 1,
    used: str = "7",
    algorithm: str = STOOD.algorithm,
    unanswered: tuple[Unanswered, ...] = (),
) -> Message:
    limit, customer, api_key = key
    fact = RoomTaken(
        limit=limit,
        customer=customer,
        key=api_key,
        units=1,
        algorithm=algorithm,
        standing=(used,),
        owner=owner,
        epoch=epoch,
        at=NOON,
        unanswered=unanswered,
    )
    return spent.claim(fact, id_="1", topic=TOPIC, partition=0)


def taking(owner: str, epoch: int) -> Message:
    fact = CustomersTaken(partition=0, owner=owner, epoch=epoch, at=NOON)
    return spent.taking(fact, id_="1", topic=TOPIC)


def mark(key: Key = ACME, *, owner: str = "one", epoch: int = 1) -> Message:
    return spent.mark(Cleared(key=key, owner=owner, epoch=epoch), topic=TOPIC, partition=0)


@pytest.mark.parametrize("key", [ACME, WEB])
def test_the_newest_claim_of_a_key_stands(told: Told, key: Key) -> None:
    assert told(taking("one", 1)) is Heard.COUNTS
    assert [told(claim(key, used=used)) for used in ("3", "7")] == [Heard.COUNTS] * 2
    assert told.spends.stood(key) == STOOD
    assert told.spends.stood(("rate", "bolt", "")) is None
    assert len(told.spends) == 1


def test_a_cleared_counter_is_one_that_nobody_ever_wrote(told: Told) -> None:
    for each in (taking("one", 1), claim(), claim(WEB), mark()):
        assert told(each) is Heard.COUNTS
    assert told.spends.stood(ACME) is None
    assert told.spends.stood(WEB) == STOOD
    assert len(told.spends) == 1
    assert told(mark()) is Heard.COUNTS
    assert told(claim()) is Heard.COUNTS
    assert len(told.spends) == 2


@pytest.mark.parametrize("after", [claim(), mark()])
def test_requests_are_named_until_a_claim_or_a_mark_names_none(told: Told, after: Message) -> None:
    named = (Unanswered(request="r", units=1, taken_ns=2),)
    for each in (claim(unanswered=named), claim(WEB, unanswered=named)):
        assert told(each) is Heard.COUNTS
    assert {key for key, _ in told.spends.unanswered(lambda _: True)} == {ACME, WEB}
    assert told.spends.stood(ACME) == replace(STOOD, unanswered=named)
    assert dict(told.spends.in_turn(9))[WEB] == replace(STOOD, unanswered=named)
    assert told(after) is Heard.COUNTS
    assert [key for key, _ in told.spends.unanswered(lambda _: True)] == [WEB]


def test_whose_requests_may_hold_slots_is_known_until_nothing_stands(told: Told) -> None:
    of_slots = claim(algorithm="slots of concurrency")
    told(claim(WEB))
    told(of_slots)
    assert told.spends.of_slots(lambda _: True) == {"acme"}
    assert not told.spends.of_slots(lambda _: False)
    told(claim())
    assert not told.spends.of_slots(lambda _: True)
    told(of_slots)
    told(mark())
    assert not told.spends.of_slots(lambda _: True)


def test_who_leaves_may_say_so_until_somebody_comes_next(told: Told) -> None:
    left = CustomersLeft(partition=0, owner="one", epoch=1, at=NOON)
    assert told(spent.leaving(left, id_="1", topic=TOPIC)) is Heard.COUNTS
    assert told(taking("one", 1)) is Heard.COUNTS
    assert told(taking("two", 2)) is Heard.COUNTS
    assert told(spent.leaving(left, id_="2", topic=TOPIC)) is Heard.OVER


@pytest.mark.parametrize(
    "late", [mark(), mark(owner="two", epoch=1), claim(used="0"), claim(owner="one", epoch=2)]
)
def test_who_was_replaced_neither_claims_nor_clears(told: Told, late: Message) -> None:
    for each in (taking("one", 1), taking("two", 2), claim(owner="two", epoch=2)):
        assert told(each) is Heard.COUNTS
    assert told(late) is Heard.OVER
    assert told.spends.stood(ACME) == STOOD


@pytest.mark.parametrize("headers", [(), (("other", b"1"),)])
def test_a_mark_that_names_nobody_clears_nothing(
    told: Told, headers: tuple[tuple[str, bytes], ...]
) -> None:
    assert told(claim()) is Heard.COUNTS
    assert told(msgspec.structs.replace(mark(), headers=headers)) is Heard.OVER
    assert told.spends.stood(ACME) == STOOD


@pytest.mark.parametrize("used", ["", "1.5", "x", "1_0", "9" * 65, '1","2', "\n1"])
def test_numbers_that_are_none_say_nothing(told: Told, used: str) -> None:
    assert told(claim()) is Heard.COUNTS
    with pytest.raises(UnreadableError):
        told(claim(used=used))
    assert told.spends.stood(ACME) == STOOD


@pytest.mark.parametrize(
    "broken",
    [
        msgspec.structs.replace(mark(), key=b"taken"),
        msgspec.structs.replace(mark(), key=None),
        msgspec.structs.replace(mark(), headers=((spent.HOLDER, b"[1,2]"),)),
        msgspec.structs.replace(claim(), value=b"{}"),
        msgspec.structs.replace(claim(), value=b"\xff"),
        msgspec.structs.replace(claim(), value=(claim().value or b"")[:-9]),
        msgspec.structs.replace(claim(), value=b" " * 2**20 + (claim().value or b"")),
    ],
)
def test_what_is_neither_a_claim_nor_a_mark_is_unreadable(told: Told, broken: Message) -> None:
    with pytest.raises(UnreadableError):
        told(broken)


def test_each_counter_that_stands_has_its_turn(told: Told) -> None:
    keys = {(f"limit-{n % 3}", f"customer-{n}", "") for n in range(40)}
    for key in keys:
        told(claim(key))
    for _ in range(3):  # those that are cleared and come back have one place as before
        told(mark(("limit-0", "customer-0", "")))
        told(claim(("limit-0", "customer-0", "")))
    told(mark(("limit-1", "customer-1", "")))
    keys.discard(("limit-1", "customer-1", ""))
    seen = [key for _ in range(40) for key, _ in told.spends.in_turn(3)]
    assert {seen.count(key) for key in keys} <= {2, 3, 4}
    assert set(seen) == keys


@contextmanager
def owner(log: MemoryLog, name: str) -> Iterator[Spending]:
    """A process that follows the log of counters and takes all of its partitions."""
    spending = Spending(
        log=log,
        topic=SPENDS,
        owner=name,
        address="",
        http_address="",
        now=lambda: datetime.now(UTC),
        now_ns=time.time_ns,
        monotonic=time.monotonic,
    )
    stop = threading.Event()
    thread = threading.Thread(target=spending.run, args=(stop,))
    thread.start()
    try:
        within(60, lambda: spending.heard() and spending.closed() is None)
        spending.assign(dict.fromkeys(spending.partitions, spending.holdings.me))
        every = frozenset(spending.partitions)
        within(60, lambda: spending.heard() and spending.holdings.mine() == every)
        yield spending
    finally:
        stop.set()
        thread.join(60)


def test_what_equals_a_new_one_is_cleared_for_whoever_comes_next() -> None:
    log = memory()
    with owner(log, "one") as first:
        first.write(
            [Written(key=key, algorithm=STOOD.algorithm, claim=(7,)) for key in (ACME, WEB)]
        )
        within(60, lambda: first.stood(WEB) == first.stood(ACME) == STOOD)
        cleared_by(first, lambda key, _: key == ACME, ACME)
        assert first.stood(WEB) == STOOD
    assert [record.value for record in records(log) if record.key == key_of(ACME)][-1] is None
    with owner(log, "two") as second:
        assert second.stood(ACME) is None
        assert second.stood(WEB) == STOOD


def test_of_a_claim_under_way_nothing_is_cleared() -> None:
    log = memory()
    with owner(log, "one") as only:
        for used in (1, 7):
            only.write([Written(key=ACME, algorithm=STOOD.algorithm, claim=(used,))])
            within(60, lambda: only.stood(ACME) is not None)
            only.clear(lambda *_: True)
            within(60, lambda: any(each.counts for each in only.heard()[0]))
        cleared_by(only, lambda *_: True, ACME)
    values = [record.value for record in records(log) if record.key == key_of(ACME)]
    assert [value is None for value in values[:3]] == [False, False, True]


def test_who_has_no_customers_any_more_clears_nothing_and_a_late_mark_is_undone() -> None:
    log = memory()
    with owner(log, "one") as first, owner(log, "two") as second:
        second.write([Written(key=ACME, algorithm=STOOD.algorithm, claim=(7,))])

        def replaced() -> bool:
            first.heard()
            return first.stood(ACME) == STOOD and first.holder("acme") is not None

        within(60, replaced)
        first.clear(lambda *_: True)
        writer = log.writer()
        late = msgspec.structs.replace(mark(owner="one"), partition=second.partition("acme"))
        writer.send(late)
        assert writer.flush(60) == 0

        def told_again() -> bool:
            second.heard()
            return [r.value is None for r in records(log) if r.key == key_of(ACME)][-2:] == [
                True,
                False,
            ]

        within(60, told_again)
        marks = [r.headers for r in records(log) if r.value is None]
        assert marks == [late.headers]
        assert second.stood(ACME) == first.stood(ACME) == STOOD


def cleared_by(spending: Spending, is_new: Callable[[Key, Stood], bool], key: Key) -> None:
    def gone() -> bool:
        spending.heard()  # until then its claim is under way
        spending.clear(is_new)
        return spending.stood(key) is None

    within(60, gone)


def key_of(key: Key) -> bytes:
    return spent.key_of(key).encode()


def records(log: MemoryLog) -> list[Record]:
    places = log.partitions(TOPIC)
    ends = log.ends(places)
    reader = log.reader(dict.fromkeys(places, BEGINNING))
    found: list[Record] = []
    while any(reader.positions()[place] < end for place, end in ends.items()):
        found += reader.poll(most=1000, timeout_s=1)
    reader.close()
    return found
