"""Facts leave through the ledger: after a crash at any place the same bytes, and all of them."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from midstage.contracts.fact import Event, Fact
from midstage.contracts.load import LoadObserved
from midstage.contracts.topics import LOAD, Topic
from midstage.contracts.usage import UsageMinuteEnded, UsageObserved
from midstage.eventlog.codec import Decoder
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.model import Batch, Outgoing
from midstage.stats.stream.outbox import Sending, Telling, event_id
from midstage.testkit.waiting import within

from .conftest import NOON, Bench, records, running
from .memory import MemoryLedger
from .test_counting import CrashError, Crashing

DEADLINE_S = 90.0
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class Settable:
    """A clock that a test sets; waiting goes by the machine's."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()

    def passes(self, by: timedelta) -> bool:
        """Time goes on while a test waits; always False, for there is more to wait for."""
        self.at += by
        return False


def read(bench: Bench, topic: Topic) -> list[tuple[Event[Fact], bytes]]:
    decoder = Decoder(topic)
    return [(decoder(one), one.value or b"") for one in records(bench.log, topic.name)]


def loads(bench: Bench) -> dict[tuple[str, datetime], LoadObserved]:
    """The newest revision of each second."""
    found: dict[tuple[str, datetime], LoadObserved] = {}
    for event, _ in read(bench, bench.topics.load):
        assert isinstance(event.data, LoadObserved)
        held = found.get((event.data.app, event.data.second))
        if held is None or event.data.revision > held.revision:
            found[(event.data.app, event.data.second)] = event.data
    return found


def usages(bench: Bench) -> dict[tuple[str, datetime], UsageObserved]:
    """The newest revision of each customer's minute."""
    found: dict[tuple[str, datetime], UsageObserved] = {}
    for event, _ in read(bench, bench.topics.usage):
        fact = event.data
        if isinstance(fact, UsageObserved):
            held = found.get((fact.customer, fact.minute))
            if held is None or fact.revision > held.revision:
                found[(fact.customer, fact.minute)] = fact
    return found


def ended(bench: Bench) -> set[datetime]:
    facts = [event.data for event, _ in read(bench, bench.topics.usage)]
    return {fact.minute for fact in facts if isinstance(fact, UsageMinuteEnded)}


def outcomes(bench: Bench, minute: datetime) -> Mapping[str, int]:
    fact = usages(bench).get(("acme", minute))
    return fact.apps[0].outcomes if fact else {}


def tell_the_story(bench: Bench) -> int:
    """Two requests, their second, their minute, a late one, its minute again; how often it died."""
    clock = Settable(NOON + 1.2 * SECOND)
    bench.clock = clock
    edge = bench.edge()
    died = 0

    def until(at: datetime, condition: Callable[[], bool], *, by: timedelta = timedelta(0)) -> None:
        nonlocal died
        clock.at = at
        while True:
            service = bench.start()
            with running(service) as raised:
                within(DEADLINE_S, lambda: raised or condition() or clock.passes(by), every=0.2)
                # a crash may have left what was delivered to be sent again
                within(DEADLINE_S, partial(_sent, service.ledger, raised))
            bench.stop()
            if not raised:
                return
            assert isinstance(raised[0], CrashError)
            died += 1

    second = ("chat", NOON)
    bench.write(edge.line(1), edge.line(2))
    until(NOON + 2 * SECOND, lambda: second in loads(bench) and loads(bench)[second].revision == 2)
    until(NOON + 63 * SECOND, lambda: outcomes(bench, NOON) == {"ok": 2} and NOON in ended(bench))
    bench.write(edge.line(3))
    until(NOON + 123 * SECOND, lambda: outcomes(bench, NOON) == {"ok": 3}, by=MINUTE)
    bench.write(edge.line(4))
    until(NOON + 183 * MINUTE, lambda: outcomes(bench, NOON) == {"ok": 4}, by=MINUTE)
    return died


def _sent(ledger: DuckdbLedger, raised: Sequence[BaseException]) -> bool:
    return bool(raised) or not ledger.unsent(1)


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2, 4])
@pytest.mark.parametrize(
    "place", ["ledger:inserted", "ledger:committed", "outbox:delivered", "outbox:sent"]
)
def test_a_crash_at_any_place_loses_no_fact_and_says_the_same_bytes_again(
    bench: Bench, place: str, nth: int
) -> None:
    bench.reached = Crashing(place, nth=nth)
    assert tell_the_story(bench) == 1
    said: defaultdict[str, list[bytes]] = defaultdict(list)
    for topic in (bench.topics.load, bench.topics.usage):
        for event, value in read(bench, topic):
            said[event.id].append(value)
    assert all(len(set(values)) == 1 for values in said.values())
    if place == "outbox:delivered":
        assert any(len(values) > 1 for values in said.values())


@pytest.mark.slow
def test_the_facts_of_a_story_without_a_crash(bench: Bench) -> None:
    assert tell_the_story(bench) == 0
    minute = usages(bench)[("acme", NOON)]
    assert minute.apps[0].units == {"requests": 4_000_000, "input_tokens": 12_000_000}
    assert ended(bench) >= {NOON, NOON + MINUTE}
    second = loads(bench)[("chat", NOON)]
    assert second.outcomes == {"ok": 2}
    assert second.in_flight is None


def test_what_waits_in_the_outbox_is_sent_in_order_and_once() -> None:
    ledger, log = MemoryLedger(), MemoryLog()
    log.create(settings_of(replace(LOAD, name="t", partitions=1)))
    sent = [Outgoing(topic="t", key=b"k", value=bytes([number])) for number in range(9)]
    telling = Telling(ledger, tellers=(), now=lambda: NOON)
    telling.commit(Batch(outgoing=tuple(sent)), begins={}, ends={})
    stop = threading.Event()
    loop = threading.Thread(target=Sending(ledger=telling, log=log).run, args=(stop,))
    loop.start()
    try:
        within(DEADLINE_S, lambda: not ledger.unsent(1))
    finally:
        stop.set()
        loop.join()
    assert [one.value for one in records(log, "t")] == [one.value for one in sent]


def test_an_id_is_never_too_long_to_be_read() -> None:
    assert event_id("chat", "12:00", "0") == "chat/12:00/0"
    long = event_id("x" * 256, "12:00", "0")
    assert len(long) <= 256
    assert long != event_id("x" * 255 + "y", "12:00", "0")
