"""A small versioned log to tell stories with: accounts that are credited and debited."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.topics import Kind, Topic
from midstage.eventlog.appended import PartitionTaken, command, taken, written
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Delivered, Delivery, Log, Message
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.snapshots import Snapshots
from midstage.eventlog.topics import settings_of
from midstage.eventlog.versions import Versions
from midstage.testkit.clock import FrozenClock
from midstage.testkit.waiting import within

from .running import running

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class Credited(msgspec.Struct, frozen=True, kw_only=True, tag="Credited", tag_field="fact"):
    amount: int


class Debited(msgspec.Struct, frozen=True, kw_only=True, tag="Debited", tag_field="fact"):
    amount: int


class Frozen(msgspec.Struct, frozen=True, kw_only=True, tag="Frozen", tag_field="fact"):
    """A fact that only a newer engine knows."""

    why: str


Fact = Credited | Debited
NewerFact = Credited | Debited | Frozen

ACCOUNTS = Topic(
    name="test.accounts.v1",
    kind=Kind.VERSIONED,
    key="account",
    writer="tests",
    readers=("tests",),
    partitions=3,
    kept=None,
    about="Accounts.",
    union=Fact,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    balance: int = 0
    turns: int = 0


def evolve(account: Account, fact: NewerFact) -> Account:
    match fact:
        case Credited(amount=amount):
            return Account(balance=account.balance + amount, turns=account.turns + 1)
        case Debited(amount=amount):
            return Account(balance=account.balance - amount, turns=account.turns + 1)
        case Frozen():
            return account


def credit(amount: int) -> Callable[[Account], Sequence[Fact]]:
    return lambda _account: [Credited(amount=amount)]


def debit(amount: int) -> Callable[[Account], Sequence[Fact]]:
    def decide(account: Account) -> Sequence[Fact]:
        if account.balance < amount:
            raise RefusedError(f"only {account.balance} left")
        return [Debited(amount=amount)]

    return decide


View = Versions[Account, Fact]


def versions(
    log: Log,
    *,
    topic: Topic = ACCOUNTS,
    reached: Failpoint = nothing,
    now: Callable[[], datetime] = lambda: NOW,
    snapshots: Snapshots[Account, Fact] | None = None,
    answer_within_s: float = 60.0,
) -> View:
    """A replica whose loop is never late by its own clock, however long the machine pauses."""
    return Versions(
        log=log,
        topic=topic,
        initial=Account(),
        evolve=evolve,
        engine="tests/1",
        now=now,
        monotonic=FrozenClock().monotonic,
        reached=reached,
        snapshots=snapshots,
        answer_within_s=answer_within_s,
    )


@contextmanager
def replicas(log: Log, count: int = 1, **settings: object) -> Iterator[list[View]]:
    """Replicas of one service, each with a view of its own, ready."""
    views = [versions(log, **settings) for _ in range(count)]  # type: ignore[arg-type]  # passed on
    with ExitStack() as stack:
        for view in views:
            stack.enter_context(running(view))
        for view in views:
            within(60, partial(ready, view))
        yield views


def ready(view: View) -> bool:
    return view.caught_up() is None


def accounts_log() -> MemoryLog:
    log = MemoryLog()
    log.create(settings_of(ACCOUNTS))
    return log


def record(
    key: str,
    version: int,
    *facts: NewerFact,
    command_id: str = "foreign",
    topic: Topic = ACCOUNTS,
    event_id: str = "foreign/1",
    epoch: int | None = None,
) -> Message:
    """What some writer appends, a zombie or a newer one."""
    return written(
        topic,
        event_id=event_id,
        by=command(key=key, command_id=command_id, payload=b""),
        version=version,
        engine="tests/0",
        facts=facts,
        at=NOW,
        epoch=epoch,
    )


def take(partition: int, epoch: int, owner: str, *, topic: Topic = ACCOUNTS) -> Message:
    """What a replica appends that takes a partition."""
    by = PartitionTaken(partition=partition, epoch=epoch, owner=owner)
    return taken(topic, event_id=f"{owner}/{epoch}", by=by, at=NOW)


def put(log: Log, *messages: Message) -> None:
    heard: list[Delivery] = []
    all_heard = threading.Event()

    def done(delivery: Delivery) -> None:
        heard.append(delivery)
        if len(heard) == len(messages):
            all_heard.set()

    writer = log.writer()
    for each in messages:
        writer.send(each, done)
    assert all_heard.wait(60)
    assert all(isinstance(each, Delivered) for each in heard)
    writer.close()


def records_in(log: Log, topic: Topic = ACCOUNTS) -> int:
    return sum(log.ends(log.partitions(topic.name)).values())
