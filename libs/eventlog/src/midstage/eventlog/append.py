"""Appending one version: sent, acknowledged, and read back by the fold before anybody is told.

Nothing here decides who was first: the fold does, and tells ``heard`` under the shared condition.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from midstage.contracts.errors import RefusedError, UnavailableError, UnreadableError
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import Command, Facts, PartitionTaken, taken, written
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.fold import Verdict
from midstage.eventlog.log import Delivered, Delivery, Log, Message, Undelivered, Writer


@dataclass(slots=True, kw_only=True)
class _Attempt:
    delivery: Delivery | None = None
    verdict: Verdict | None = None

    def undelivered(self) -> bool:
        return isinstance(self.delivery, Undelivered) and self.delivery.known


class Appender:
    """The writing side of one replica; any number of threads may append at once."""

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        engine: str,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        changed: threading.Condition,
        within_s: float,
        reached: Failpoint,
    ) -> None:
        """Connect nothing yet: a replica that only reads has no writer."""
        self._log = log
        self._topic = topic
        self._engine = engine
        self._now = now
        self._new_id = new_id
        self._changed = changed
        self._within_s = within_s
        self._reached = reached
        self._facts: Facts[object] = Facts(topic)
        self._writer: Writer | None = None
        self._attempts: dict[str, _Attempt] = {}

    def append(
        self, by: Command, *, version: int, facts: Sequence[object], epoch: int | None = None
    ) -> Verdict:
        """What the fold made of our record; UnavailableError where it did not read it in time.

        RefusedError, with nothing appended, where readers would not take the facts.
        """
        self._check(facts)
        event_id = self._new_id()
        message = written(
            self._topic,
            event_id=event_id,
            by=by,
            version=version,
            engine=self._engine,
            facts=facts,
            at=self._now(),
            epoch=epoch,
        )
        return self._sent(event_id, message, by.id)

    def take(self, by: PartitionTaken) -> Verdict:
        """What the fold made of our taking a partition; UnavailableError as ``append``."""
        event_id = self._new_id()
        message = taken(self._topic, event_id=event_id, by=by, at=self._now())
        return self._sent(event_id, message, event_id)

    def _sent(self, event_id: str, message: Message, command_id: str) -> Verdict:
        attempt = _Attempt()
        with self._changed:
            self._attempts[event_id] = attempt
            writer = self._opened()
        try:
            writer.send(message, lambda delivery: self._delivered(attempt, delivery))
            if self._wait(lambda: attempt.delivery is not None or attempt.verdict is not None):
                self._reached("append:sent")
                self._wait(lambda: attempt.verdict is not None or attempt.undelivered())
            return _verdict(attempt, command_id)
        finally:
            with self._changed:
                del self._attempts[event_id]

    def heard(self, event_id: str, verdict: Verdict) -> None:
        """The fold has read a record; its thread holds the condition and notifies."""
        attempt = self._attempts.get(event_id)
        if attempt is not None:
            attempt.verdict = verdict

    def check(self) -> None:
        """Raise the writer's fatal error, if it has one."""
        writer = self._writer
        if writer is not None:
            writer.flush(0.0)

    def close(self) -> None:
        """Let go of the writer, if there was one."""
        with self._changed:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _opened(self) -> Writer:
        if self._writer is None:
            self._writer = self._log.writer()
        return self._writer

    def _check(self, facts: Sequence[object]) -> None:
        """A fact that readers refuse would stop the key for all of them: never append one."""
        try:
            self._facts(msgspec.json.encode(facts))
        except UnreadableError as e:
            raise RefusedError(f"the decision is not one that readers know: {e}") from e

    def _delivered(self, attempt: _Attempt, delivery: Delivery) -> None:
        with self._changed:
            attempt.delivery = delivery
            self._changed.notify_all()

    def _wait(self, until: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(until, self._within_s)


def _verdict(attempt: _Attempt, command_id: str) -> Verdict:
    if attempt.verdict is not None:
        return attempt.verdict
    match attempt.delivery:
        case Undelivered(known=True, reason=reason):
            raise UnavailableError(f"nothing was appended ({reason}); try again")
        case Delivered() | Undelivered() | None:
            raise UnavailableError(f"outcome unknown, ask by command id {command_id!r}")
