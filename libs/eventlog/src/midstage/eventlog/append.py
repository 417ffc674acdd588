"""Appending versions: sent at once, acknowledged, and read back by the fold before anybody is told.

What is appended together is waited for together. Nothing here decides who was first: the fold
does, and tells ``heard`` under the shared condition.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

import msgspec

from midstage.contracts.errors import RefusedError, UnavailableError, UnreadableError
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import Command, Facts, PartitionTaken, taken, written
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.fold import Verdict
from midstage.eventlog.log import Delivered, Delivery, Log, Message, Undelivered, Writer


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Attempt:
    """One record that was handed over; what becomes of it is heard while somebody holds this."""

    command_id: str
    delivery: Delivery | None = None
    verdict: Verdict | None = None

    def heard_of(self) -> bool:
        """Whether the broker or the fold has said anything of it."""
        return self.delivery is not None or self.verdict is not None

    def settled(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.verdict is not None or _surely_not(self.delivery)

    def outcome(self) -> Verdict:
        """What the fold made of it; UnavailableError where it did not read it in time."""
        if self.verdict is not None:
            return self.verdict
        match self.delivery:
            case Undelivered(known=True, reason=reason):
                raise UnavailableError(f"nothing was appended ({reason}); try again")
            case Delivered() | Undelivered() | None:
                raise UnavailableError(f"outcome unknown, ask by command id {self.command_id!r}")


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
        self._attempts: WeakValueDictionary[str, Attempt] = WeakValueDictionary()

    def append(
        self, by: Command, *, version: int, facts: Sequence[object], epoch: int | None = None
    ) -> Attempt:
        """Hand over one version; RefusedError, with nothing sent, for facts no reader would take.

        UnavailableError where the log takes nothing now.
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
        """What the fold made of our taking a partition; UnavailableError as ``Attempt.outcome``."""
        event_id = self._new_id()
        attempt = self._sent(
            event_id, taken(self._topic, event_id=event_id, by=by, at=self._now()), event_id
        )
        self.wait([attempt])
        return attempt.outcome()

    def wait(self, attempts: Sequence[Attempt]) -> None:
        """Until all of them are settled, or some seconds are over."""
        self._wait(attempts, Attempt.heard_of)
        for each in attempts:
            if each.heard_of():
                self._reached("append:sent")
        self._wait([each for each in attempts if each.heard_of()], Attempt.settled)

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

    def _sent(self, event_id: str, message: Message, command_id: str) -> Attempt:
        attempt = Attempt(command_id=command_id)
        with self._changed:
            self._attempts[event_id] = attempt
            writer = self._opened()
        writer.send(message, lambda delivery: self._delivered(attempt, delivery))
        return attempt

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

    def _delivered(self, attempt: Attempt, delivery: Delivery) -> None:
        with self._changed:
            attempt.delivery = delivery
            self._changed.notify_all()

    def _wait(self, attempts: Sequence[Attempt], done: Callable[[Attempt], bool]) -> None:
        left = [*reversed(attempts)]

        def all_done() -> bool:
            while left and done(left[-1]):  # each is looked at once more, not all at each notice
                left.pop()
            return not left

        with self._changed:
            self._changed.wait_for(all_done, self._within_s)


def _surely_not(delivery: Delivery | None) -> bool:
    return isinstance(delivery, Undelivered) and delivery.known
