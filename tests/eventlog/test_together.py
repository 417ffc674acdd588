"""Many commands at once cost one wait, and what becomes of one changes nothing for the others."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.eventlog.log import Delivery, Message, Undelivered
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.memory.clients import MemoryWriter
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.topics import settings_of
from midstage.eventlog.versions import Answer, Execution
from midstage.testkit.waiting import within

from .accounts import (
    ACCOUNTS,
    Account,
    Credited,
    Fact,
    Frozen,
    accounts_log,
    credit,
    debit,
    put,
    record,
    records_in,
    replicas,
    take,
)
from .test_versions import comes_to

KEYS = [f"account-{number}" for number in range(20)]
Answered = Answer[Fact] | RefusedError | UnavailableError


@pytest.fixture
def log() -> MemoryLog:
    return accounts_log()


def to(
    key: str, decide: Callable[[Account], Sequence[Fact]], *, epoch: int | None = None
) -> Execution[Account, Fact]:
    return Execution(key=key, command_id=f"to-{key}", payload=b"", decide=decide, epoch=epoch)


def versions_of(answers: Sequence[Answered]) -> list[int]:
    return [each.version if isinstance(each, Answer) else 0 for each in answers]


def test_all_stand_in_the_log_before_any_is_waited_for(log: MemoryLog) -> None:
    stood: list[int] = []
    with replicas(log, reached=lambda _place: stood.append(records_in(log))) as [view]:
        answers = view.execute_all([to(key, credit(5)) for key in KEYS])
        assert versions_of(answers) == [1] * len(KEYS)
        assert [view.state(key)[1].balance for key in KEYS] == [5] * len(KEYS)
    assert stood == [len(KEYS)] * len(KEYS)


def test_each_is_sent_before_the_next_one_is_asked_for(log: MemoryLog) -> None:
    """So it is on its way while the next one is worked out, and may be read back by then."""
    with replicas(log) as [view]:

        def one_after_the_other() -> Iterator[Execution[Account, Fact]]:
            for key in KEYS[:3]:
                yield to(key, credit(5))
                comes_to(view, key, (1, Account(balance=5, turns=1)))

        assert versions_of(view.execute_all(one_after_the_other())) == [1, 1, 1]


def test_refused_unknown_forestalled_and_idle_ones_harm_no_other(log: MemoryLog) -> None:
    def forestalled(account: Account) -> Sequence[Fact]:
        if account.turns == 0:
            put(log, record("late", 1, Credited(amount=1)))
        return [Credited(amount=2)]

    number = partition_of(b"taken", ACCOUNTS.partitions)
    with replicas(log) as [view]:
        put(log, record("stuck", 1, Frozen(why="newer")), take(number, 1, "another"))
        within(60, lambda: view.stuck("stuck") and number in view.held())
        poor, late, stuck, idle, taken, nameless, good = view.execute_all(
            [
                to("poor", debit(5)),
                to("late", forestalled),
                to("stuck", credit(1)),
                to("idle", lambda _: []),
                to("taken", credit(1), epoch=2),
                to("", credit(1)),
                to("good", credit(1)),
            ]
        )
        assert isinstance(poor, RefusedError)
        assert str(poor) == "only 0 left"
        assert isinstance(late, Answer)
        assert late.version == 2
        assert view.state("late") == (2, Account(balance=3, turns=2))
        assert isinstance(stuck, UnavailableError)
        assert isinstance(idle, Answer)
        assert (idle.version, idle.facts) == (0, ())
        assert isinstance(taken, RefusedError)
        assert isinstance(nameless, RefusedError)
        assert isinstance(good, Answer)
        assert view.state("good") == (1, Account(balance=1, turns=1))


def test_of_two_on_one_key_the_second_is_decided_on_what_the_first_left(log: MemoryLog) -> None:
    with replicas(log) as [view]:
        first = Execution(key="alice", command_id="c1", payload=b"", decide=credit(5))
        second = Execution(key="alice", command_id="c2", payload=b"", decide=credit(7))
        assert versions_of(view.execute_all([first, second])) == [1, 2]
        assert view.state("alice") == (2, Account(balance=12, turns=2))
        [again] = view.execute_all([first])
        assert isinstance(again, Answer)
        assert (again.version, again.repeated) == (1, True)


class Half(MemoryLog):
    """A log whose writers surely can't write the account of bob."""

    def writer(self) -> MemoryWriter:
        return HalfWriter(self)


class HalfWriter(MemoryWriter):
    def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        if message.key != b"bob":
            super().send(message, done)
        elif done is not None:
            done(Undelivered(reason="too full", known=True))


def test_one_that_was_surely_not_written_keeps_nobody_waiting() -> None:
    log = Half()
    log.create(settings_of(ACCOUNTS))
    with replicas(log, answer_within_s=60.0) as [view]:
        bob, alice = view.execute_all([to("bob", credit(1)), to("alice", credit(2))])
        assert isinstance(bob, UnavailableError)
        assert "nothing was appended (too full)" in str(bob)
        assert isinstance(alice, Answer)
        assert alice.version == 1


def test_killed_in_the_middle_what_was_sent_counts_and_the_rest_is_decided_again(
    log: MemoryLog,
) -> None:
    class KilledError(Exception):
        pass

    def killed_after_three() -> Iterator[Execution[Account, Fact]]:
        for key in KEYS[:3]:
            yield to(key, credit(5))
        raise KilledError

    with replicas(log) as [view], pytest.raises(KilledError):
        view.execute_all(killed_after_three())
    with replicas(log) as [restarted]:
        answers = restarted.execute_all([to(key, credit(5)) for key in KEYS])
        assert versions_of(answers) == [1] * len(KEYS)
        repeated = [isinstance(each, Answer) and each.repeated for each in answers]
        assert repeated == [True] * 3 + [False] * (len(KEYS) - 3)
