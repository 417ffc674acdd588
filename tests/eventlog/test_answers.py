"""An answer is what the read-back says of the very key, or it says that it is not known."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.log import Delivery, Message, Partition, Record, Undelivered
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.memory.clients import MemoryReader, MemoryWriter
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within

from .accounts import (
    ACCOUNTS,
    Account,
    Credited,
    Frozen,
    View,
    accounts_log,
    credit,
    put,
    record,
    records_in,
    replicas,
)
from .test_versions import comes_to, execute


@pytest.fixture
def log() -> MemoryLog:
    return accounts_log()


class Deaf(MemoryLog):
    """A log whose readers hear nothing any more from when it is told so."""

    held = False

    def reader(self, starts: Mapping[Partition, int]) -> MemoryReader:
        return DeafReader(self, dict.fromkeys(starts, 0))


class DeafReader(MemoryReader):
    def _take(self, taken: list[Record], most: int) -> bool:
        assert isinstance(self._broker, Deaf)
        return not self._broker.held and super()._take(taken, most)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_nothing_is_answered_before_the_read_back(acknowledged: bool) -> None:
    log = Deaf()
    log.create(settings_of(ACCOUNTS))
    with replicas(log, answer_within_s=0.3) as [view]:
        log.held = True
        if not acknowledged:
            log.lose_next_acknowledgement()
        with pytest.raises(UnavailableError, match="outcome unknown, ask by command id 'c1'"):
            execute(view, "c1", credit(5))
        log.held = False
        within(60, lambda: view.answer("c1") is not None)
    assert records_in(log) == 1


class Purging(MemoryLog):
    """A log whose writers know that they could not write."""

    def writer(self) -> MemoryWriter:
        return PurgingWriter(self)


class PurgingWriter(MemoryWriter):
    def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        assert done is not None
        done(Undelivered(reason="the topic is gone", known=True))


def test_what_was_surely_not_written_is_said_at_once() -> None:
    log = Purging()
    log.create(settings_of(ACCOUNTS))
    with replicas(log, answer_within_s=30.0) as [view], ThreadPoolExecutor() as pool:
        job = pool.submit(execute, view, "c1", credit(5))
        with pytest.raises(UnavailableError, match=r"nothing was appended \(the topic is gone\)"):
            job.result(60)


def test_an_answer_is_of_its_own_key_though_the_id_was_used_for_another_meanwhile(
    log: MemoryLog,
) -> None:
    """Two replicas may accept one id for two keys at once: no order holds between partitions."""
    asked: list[View] = []

    def used_elsewhere(place: str) -> None:
        assert place == "append:sent"
        put(log, record("bob", 1, Credited(amount=9), command_id="c1"))
        comes_to(asked[0], "bob", (1, Account(balance=9, turns=1)))

    with replicas(log, reached=used_elsewhere) as [view]:
        asked.append(view)
        answer = view.execute(key="alice", command_id="c1", payload=b"", decide=credit(5))
        assert (answer.key, answer.facts) == ("alice", (Credited(amount=5),))


def test_of_two_records_for_one_version_an_unknown_first_one_stops_the_key_for_good(
    log: MemoryLog,
) -> None:
    """A newer replica took the first; who can't read it must not take the second instead."""
    with replicas(log) as [view]:
        put(
            log,
            record("alice", 1, Frozen(why="newer")),
            record("alice", 1, Credited(amount=5), command_id="late"),
        )
        put(log, record("bob", 1, Credited(amount=1)))
        comes_to(view, "bob", (1, Account(balance=1, turns=1)))
        within(60, lambda: "alice" in (view.caught_up() or ""))
        assert view.state("alice") == (0, Account())
        assert view.answer("late") is None


def test_changes_are_told_without_what_did_not_change(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        for number, key in enumerate(("alice", "bob", "carol", "alice", "alice")):
            view.execute(key=key, command_id=f"c{number}", payload=b"", decide=credit(1))
        once, thrice = Account(balance=1, turns=1), Account(balance=3, turns=3)
        every, all_ = view.changes(0)
        assert (every, dict(all_)) == (5, {"alice": thrice, "bob": once, "carol": once})
        assert view.changes(every) == (5, {})
        view.execute(key="bob", command_id="c5", payload=b"", decide=credit(1))
        assert view.changes(every) == (6, {"bob": Account(balance=2, turns=2)})
