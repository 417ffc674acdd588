"""What is implied of a partition's counters, as two throttles hear it from one log."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.spends import CustomersTaken
from midstage.eventlog.log import Log
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from midstage.throttle.decide.holders import Heard, Holders
from midstage.throttle.stream.implied import APART_NS, IMPLIED_NS
from midstage.throttle.stream.spending import Spending
from tests.throttle.conftest import memory

NOW_NS = 1_767_268_800_000_000_000
SECOND = 1_000_000_000
AT = SystemClock().now()


@dataclass(slots=True, kw_only=True)
class Process:
    """One that follows the log of counters; ``now_ns`` is its clock."""

    spending: Spending
    clock: list[int]

    def until_ns(self) -> int:
        self.spending.heard()
        return self.spending.holding("acme").until_ns

    def starts(self) -> None:
        """Follows, and takes all partitions."""
        within(60, lambda: self.heard() and self.spending.closed() is None)
        numbers = self.spending.partitions
        self.spending.assign(dict.fromkeys(numbers, self.spending.holdings.me))
        within(60, lambda: self.heard() and self.spending.holdings.mine() == set(numbers))

    def heard(self) -> bool:
        self.spending.heard()
        return True


@contextmanager
def process(log: Log, owner: str, now_ns: int) -> Iterator[Process]:
    clock = [now_ns]
    spending = Spending(
        log=log,
        topic=topics.SPENDS,
        owner=owner,
        address="",
        http_address="",
        now=SystemClock().now,
        now_ns=lambda: clock[0],
        monotonic=time.monotonic,
    )
    stop = threading.Event()
    thread = threading.Thread(target=spending.run, args=(stop,))
    thread.start()
    try:
        yield Process(spending=spending, clock=clock)
    finally:
        stop.set()
        thread.join(60)


def test_whoever_takes_leaves_to_those_before_what_they_said_they_use() -> None:
    log = memory()
    with process(log, "first", NOW_NS) as first:
        first.starts()
        assert first.until_ns() == NOW_NS + IMPLIED_NS - APART_NS
        assert first.spending.holding("acme").before_ns == 0
        first.clock[0] += SECOND
        first.spending.renew()
        within(60, lambda: first.until_ns() == NOW_NS + SECOND + IMPLIED_NS - APART_NS)
        with process(log, "second", NOW_NS + 2 * SECOND) as second:
            second.starts()
            held = second.spending.holding("acme")
            assert held.before_ns == NOW_NS + SECOND + IMPLIED_NS
            assert held.until_ns == NOW_NS + 2 * SECOND + IMPLIED_NS - APART_NS
            within(60, lambda: first.until_ns() == 0)
            first.spending.renew()
    assert ends(log) == 3 * topics.SPENDS.partitions, "it holds nothing any more"


def test_nothing_piles_up_while_the_log_does_not_answer() -> None:
    log = memory()
    with process(log, "first", NOW_NS) as first:
        first.starts()
        for _ in range(3):
            first.clock[0] += SECOND
            first.spending.renew()  # nobody takes what was heard: it may not have been
        within(60, lambda: first.until_ns() == NOW_NS + SECOND + IMPLIED_NS - APART_NS)
    assert ends(log) == 2 * topics.SPENDS.partitions
    claims, gained = first.spending.heard()
    assert not claims
    assert not gained, "it counted for them before"


def test_who_has_left_uses_nothing_any_more_and_who_was_named_says_itself_what_it_uses() -> None:
    log = memory()
    with (
        process(log, "first", NOW_NS) as first,
        process(log, "second", NOW_NS + 2 * SECOND) as second,
    ):
        first.starts()
        within(60, lambda: second.heard() and len(second.spending.holdings.holders()) > 0)
        second.spending.holdings.me = msgspec.structs.replace(
            second.spending.holdings.me, implied_until=AT
        )
        numbers = first.spending.partitions
        first.spending.leave(dict.fromkeys(numbers, second.spending.holdings.me))
        assert first.spending.holding("acme").until_ns == 0
        within(60, lambda: second.heard() and second.spending.closed() is None)
        within(60, lambda: second.heard() and second.spending.holdings.mine() == set(numbers))
        held = second.spending.holding("acme")
        assert (held.until_ns, held.before_ns) == (0, 0)
        second.spending.renew()
        until_ns = NOW_NS + 2 * SECOND + IMPLIED_NS - APART_NS
        within(60, lambda: second.until_ns() == until_ns)
        first.heard()
        assert first.spending.holdings.mine() == frozenset()


def test_before_the_log_is_known_nothing_is_implied() -> None:
    with process(memory(), "first", NOW_NS) as first:
        held = first.spending.holding("acme")
        assert (held.until_ns, held.before_ns) == (0, 0)
        first.starts()
        assert first.spending.holding("acme").until_ns > 0


def test_what_a_holder_says_again_counts_and_what_others_say_of_its_epoch_does_not() -> None:
    holders = Holders()
    assert holders.apply(taken("first", 1, second=1), 3) is Heard.COUNTS
    assert holders.apply(taken("second", 1, second=9), 3) is Heard.OVER
    assert holders.apply(taken("first", 1, second=2), 3) is Heard.COUNTS
    assert holders.before(3) is None
    assert holders.apply(taken("second", 2, second=1), 3) is Heard.COUNTS
    assert holders.apply(taken("first", 1, second=9), 3) is Heard.OVER
    assert holders.before(3) == taken("first", 1, second=2).implied_until
    assert holders.apply(taken("second", 2, second=3), 3) is Heard.COUNTS
    assert holders.before(3) == taken("first", 1, second=2).implied_until
    assert holders.apply(taken("third", 3, second=3), 3) is Heard.COUNTS
    assert holders.before(3) == taken("second", 2, second=3).implied_until


def taken(owner: str, epoch: int, *, second: int) -> CustomersTaken:
    until = AT.replace(second=second)
    return CustomersTaken(partition=3, owner=owner, epoch=epoch, implied_until=until, at=AT)


def ends(log: Log) -> int:
    assert isinstance(log, MemoryLog)
    return sum(log.ends(log.partitions(topics.SPENDS.name)).values())
