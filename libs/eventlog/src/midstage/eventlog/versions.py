"""One replica's view of one versioned log: states by key, and commands that change them.

The log decides: a command is decided on the state at version n, appended as version n+1, and
answered after the read-back; if another replica was first, it is decided again. No lock, no
leader. Where replicas share the work, a partition is taken in the same way, and what was decided
under an earlier epoch counts no more. Any number of threads may ask while one runs the loop.
"""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import Generic, TypeVar

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.topics import Topic
from midstage.eventlog.append import Appender
from midstage.eventlog.appended import Answer, PartitionTaken
from midstage.eventlog.execute import Execution, Executor
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.fold import REMEMBERED_FOR, Fold, Folded
from midstage.eventlog.follow import Follower
from midstage.eventlog.log import Log
from midstage.eventlog.snapshots import Snapshots

__all__ = ["Answer", "Execution", "Versions"]

S = TypeVar("S")
F = TypeVar("F")


class Versions(Generic[S, F]):
    """States by key, and commands that change them; a chassis Loop."""

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        initial: S,
        evolve: Callable[[S, F], S],
        engine: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        reached: Failpoint = nothing,
        remembered_for: timedelta | None = REMEMBERED_FOR,
        snapshots: Snapshots[S, F] | None = None,
        answer_within_s: float = 5.0,
    ) -> None:
        """Connect nothing yet; ``engine`` names the deciding code in each record."""
        self.name = f"versions:{topic.name}"
        self._now = now
        self._within_s = answer_within_s
        self._states: Mapping[str, S] = MappingProxyType({})
        self._states_at = 0
        self._fold: Fold[S, F] = Fold(
            topic=topic, initial=initial, evolve=evolve, remembered_for=remembered_for
        )
        self._follower = Follower(
            log=log,
            topic=topic.name,
            fold=self._fold,
            now=now,
            monotonic=monotonic,
            snapshots=snapshots,
        )
        self._changed = self._follower.changed
        self._appender = Appender(
            log=log,
            topic=topic,
            engine=engine,
            now=now,
            new_id=_ids(),
            changed=self._changed,
            within_s=answer_within_s,
            reached=reached,
        )
        self._executor: Executor[S, F] = Executor(
            fold=self._fold,
            follower=self._follower,
            appender=self._appender,
            now=now,
            within_s=answer_within_s,
        )

    def run(self, stop: threading.Event) -> None:
        """Fold all partitions until ``stop`` is set; raises what is not UnavailableError."""
        try:
            self._follower.run(stop, heard=self._heard, check=self._appender.check)
        finally:
            self._appender.close()

    def states(self) -> Mapping[str, S]:
        """The state of every key; the same object until something changes."""
        with self._changed:
            if self._states_at != self._fold.changes:
                self._states = MappingProxyType(self._fold.states())
                self._states_at = self._fold.changes
            return self._states

    def changes(self, since: int) -> tuple[int, Mapping[str, S]]:
        """How many changes there were, and the states that changed after there were ``since``.

        It costs as much as those are, however many others there are; some of them may be older.
        """
        with self._changed:
            return self._fold.changes, self._fold.changed(since)

    def state(self, key: str) -> tuple[int, S]:
        """Version and state of one key; version 0 and the initial state where it has none."""
        with self._changed:
            return self._fold.state(key)

    def answer(self, command_id: str) -> Answer[F] | None:
        """What became of a command; None where the log does not know it (yet)."""
        with self._changed:
            outcome = self._fold.outcome(command_id, now=self._now())
        return None if outcome is None else outcome.answer

    def caught_up(self) -> str | None:
        """None when all is folded and every key can be decided, else why not: for readiness."""
        reason = self._follower.reason()
        if reason is not None:
            return reason
        with self._changed:
            stuck = ", ".join(f"{key} ({why})" for key, why in self._fold.stuck.items())
        return f"facts that this engine does not know, upgrade it: {stuck}" if stuck else None

    def following(self) -> str | None:
        """None when all is folded and it goes on, even if some key is stuck; else why not."""
        return self._follower.reason()

    def stuck(self, key: str) -> str | None:
        """The fact that this engine does not know, where it stopped the key; else None."""
        with self._changed:
            return self._fold.stuck.get(key)

    def held(self) -> Mapping[int, PartitionTaken]:
        """Who holds each partition that was ever taken."""
        return self._fold.held()  # never changed, but replaced: no lock, it is asked for often

    def take(self, partition: int, owner: str) -> None:
        """Hold the partition from now on, unless another one takes it at the same moment.

        UnavailableError where the log can't be asked now, or it is not known whether we were first:
        then ``held`` tells it later.
        """
        self._follower.wait_until_current(self._within_s)
        with self._changed:
            known = self._fold.taken(partition)
        if known is not None and known.owner == owner:
            return
        epoch = 1 if known is None else known.epoch + 1
        self._appender.take(PartitionTaken(partition=partition, epoch=epoch, owner=owner))

    def execute(
        self,
        *,
        key: str,
        command_id: str,
        payload: bytes,
        decide: Callable[[S], Sequence[F]],
        epoch: int | None = None,
    ) -> Answer[F]:
        """Decide, append, read back; see ``Execution``.

        RefusedError as ``decide`` raised it (nothing is appended), with status 409 where the id
        belongs to another command or another process has taken the partition. UnavailableError
        where the log can't be asked now or the outcome is unknown; then ``answer`` knows it later,
        and asking again is harmless.
        """
        execution: Execution[S, F] = Execution(
            key=key, command_id=command_id, payload=payload, decide=decide, epoch=epoch
        )
        [answer] = self.execute_all([execution])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def execute_all(
        self, executions: Iterable[Execution[S, F]]
    ) -> Sequence[Answer[F] | RefusedError | UnavailableError]:
        """What ``execute`` would answer or raise for each, in order; none harms another.

        Each is appended as soon as it is decided, before the next one is asked for, and none is
        waited for before all are: so many cost one wait.
        """
        return self._executor.execute_all(executions)

    def _heard(self, folded: Folded) -> None:
        self._appender.heard(folded.event_id, folded.verdict)


def _ids() -> Callable[[], str]:
    """Ids of records, each of which no other process and no other try has."""
    process, numbers = uuid.uuid4().hex, count(1)
    return lambda: f"{process}/{next(numbers)}"
