"""The one fold of a versioned log, for all readers: only the first record of each version counts.

Pure: records in, state out, no clock and no client, so every replica that reads the same log has
the same states. A record seen twice, a zombie's late one and one that skips a version change
nothing; nor does one of an epoch in which its partition is held no more. A fact that is not known
here stops its key, and no other.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import islice
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec import UNSET

from midstage.contracts.errors import UnreadableError
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import Answer, Appended, Facts, PartitionTaken, logged
from midstage.eventlog.log import Record

S = TypeVar("S")
F = TypeVar("F")

REMEMBERED_FOR = timedelta(hours=24)


class Verdict(Enum):
    """What the fold made of one record."""

    ACCEPTED = auto()  # the first of the next version
    TAKEN = auto()  # the first of the next epoch: its writer holds the partition from here on
    LATE = auto()  # another one was first, it skips a version, or its partition was taken since
    UNKNOWN = auto()  # it would be next, but a fact in it is not known here
    BROKEN = auto()  # it is no record of a versioned log, for no reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """One record's verdict; ``event_id`` is empty and ``reason`` says why where it is broken."""

    event_id: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[F]):
    """What the log knows of a command."""

    command_hash: str
    answer: Answer[F]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(Generic[S, F]):
    """All that the fold knows of one key, up to ``offset`` of the key's ``partition``.

    ``taken``: who held the partition there.
    """

    key: str
    version: int
    state: S
    partition: int
    offset: int
    outcomes: tuple[Outcome[F], ...]
    taken: PartitionTaken | None = None


class Fold(Generic[S, F]):
    """States and outcomes by key and command; not for several threads at once.

    ``stuck`` names the keys that stopped and why; ``changes`` grows when any state does.
    """

    def __init__(
        self,
        *,
        topic: Topic,
        initial: S,
        evolve: Callable[[S, F], S],
        remembered_for: timedelta | None = REMEMBERED_FOR,
    ) -> None:
        """Every key starts with ``initial``; commands are remembered for ever where None."""
        self._initial = initial
        self._evolve = evolve
        self._remembered_for = remembered_for
        self._read = logged(topic)
        self.facts: Facts[F] = Facts(topic)
        self._entries: dict[str, tuple[int, S]] = {}
        self._outcomes: dict[str, Outcome[F]] = {}
        self._restored_to: dict[str, int] = {}
        self._taken: dict[int, PartitionTaken | None] = {}
        self._held: Mapping[int, PartitionTaken] = MappingProxyType({})
        self.stuck: dict[str, str] = {}
        self.changes = 0

    def apply(self, record: Record) -> Folded:
        """Fold one record; the next one of its partition."""
        try:
            event = self._read(record)
        except UnreadableError as e:
            return Folded(event_id="", verdict=Verdict.BROKEN, reason=str(e))
        match event.data:
            case Appended() as appended:
                return self._appended(record, event.id, appended, event.time)
            case PartitionTaken() as taken:
                return Folded(event_id=event.id, verdict=self._took(taken))

    def _appended(self, record: Record, event_id: str, appended: Appended, at: datetime) -> Folded:
        key = appended.key
        version, state = self._entries.get(key, (0, self._initial))
        held = appended.epoch is UNSET or appended.epoch == self._epoch(record.partition.number)
        if appended.version != version + 1 or not held or self._passed(key, record.offset):
            return Folded(event_id=event_id, verdict=Verdict.LATE)
        try:
            facts = self.facts(appended.facts)
        except UnreadableError as e:
            self.stuck[key] = f"version {appended.version} by {appended.engine}: {e}"
            return Folded(event_id=event_id, verdict=Verdict.UNKNOWN, reason=str(e))
        for fact in facts:
            state = self._evolve(state, fact)
        self._enter(key, version + 1, state)
        answer = Answer(
            key=key,
            version=version + 1,
            command_id=appended.command_id,
            facts=facts,
            repeated=True,
        )
        self._remember(Outcome(command_hash=appended.command_hash, answer=answer, at=at))
        return Folded(event_id=event_id, verdict=Verdict.ACCEPTED)

    def _enter(self, key: str, version: int, state: S) -> None:
        """Behind all others: the newest changes are the last entries."""
        self._entries.pop(key, None)
        self._entries[key] = (version, state)
        self.changes += 1

    def taken(self, partition: int) -> PartitionTaken | None:
        """Who holds the partition; None: nobody ever took it."""
        return self._taken.get(partition)

    def held(self) -> Mapping[int, PartitionTaken]:
        """Who holds each partition that was ever taken; never changed, but replaced."""
        return self._held

    def state(self, key: str) -> tuple[int, S]:
        """Version and state of a key; version 0 and the initial state where it has none."""
        return self._entries.get(key, (0, self._initial))

    def states(self) -> dict[str, S]:
        """The state of every key that has a version, as a copy."""
        return {key: state for key, (_, state) in self._entries.items()}

    def changed(self, since: int) -> dict[str, S]:
        """The states that changed after ``changes`` was ``since``, and perhaps some others."""
        newest = islice(reversed(self._entries.items()), self.changes - since)
        return {key: state for key, (_, state) in newest}

    def outcome(self, command_id: str, *, now: datetime) -> Outcome[F] | None:
        """What became of a command, None where it is not known or too long ago."""
        outcome = self._outcomes.get(command_id)
        return None if outcome is None or self._forgotten(outcome, now) else outcome

    def forget(self, *, now: datetime) -> None:
        """Let go of the oldest outcomes that need not be remembered any longer."""
        while self._outcomes:
            oldest = next(iter(self._outcomes))
            if not self._forgotten(self._outcomes[oldest], now):
                return
            del self._outcomes[oldest]

    def saved(self, place_of: Callable[[str], tuple[int, int]]) -> Iterator[Saved[S, F]]:
        """What is known of each key; ``place_of`` tells a key's partition and position there."""
        outcomes: dict[str, list[Outcome[F]]] = {}
        for outcome in self._outcomes.values():
            outcomes.setdefault(outcome.answer.key, []).append(outcome)
        for key, (version, state) in self._entries.items():
            partition, offset = place_of(key)
            yield Saved(
                key=key,
                version=version,
                state=state,
                partition=partition,
                offset=offset,
                outcomes=tuple(outcomes.get(key, ())),
                taken=self._taken.get(partition),
            )

    def restore(self, saved: Saved[S, F]) -> None:
        """Know of one key what was saved; its records before ``offset`` change nothing."""
        self._enter(saved.key, saved.version, saved.state)
        self._restored_to[saved.key] = saved.offset
        self.restore_taken(saved.partition, saved.taken)
        for outcome in saved.outcomes:
            self._remember(outcome)

    def restore_taken(self, partition: int, taken: PartitionTaken | None) -> None:
        """Know who held the partition; of several the first, since it is read on from there."""
        known = self._taken.get(partition, taken)
        self._hold(
            partition, None if known is None or taken is None else min(known, taken, key=_epoch_of)
        )

    def _took(self, taken: PartitionTaken) -> Verdict:
        if taken.epoch != self._epoch(taken.partition) + 1:
            return Verdict.LATE
        self._hold(taken.partition, taken)
        return Verdict.TAKEN

    def _hold(self, partition: int, taken: PartitionTaken | None) -> None:
        self._taken[partition] = taken
        held = {number: each for number, each in self._taken.items() if each is not None}
        self._held = MappingProxyType(held)

    def _epoch(self, partition: int) -> int:
        taken = self._taken.get(partition)
        return 0 if taken is None else taken.epoch

    def _remember(self, outcome: Outcome[F]) -> None:
        command_id = outcome.answer.command_id
        self._outcomes.pop(command_id, None)  # so that the oldest stand first, for ``forget``
        self._outcomes[command_id] = outcome

    def _passed(self, key: str, offset: int) -> bool:
        return key in self.stuck or offset < self._restored_to.get(key, 0)

    def _forgotten(self, outcome: Outcome[F], now: datetime) -> bool:
        return self._remembered_for is not None and now - outcome.at > self._remembered_for


def _epoch_of(taken: PartitionTaken) -> int:
    return taken.epoch
