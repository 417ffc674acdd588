"""Signals in and out: read where policies name them, written when Kafka has them, known for people.

Each source has a loop of its own, so one that is away stops no other. Any process may read: who
finds a signal of the source younger than the interval leaves it to whoever read it.
"""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.signals import SIGNAL_OBSERVED, SignalObserved
from midstage.contracts.topics import Topic
from midstage.control.decide.signals import Wanted, wanted
from midstage.control.model import Specified
from midstage.control.views.signals import Newest
from midstage.eventlog.codec import Decoders, message
from midstage.eventlog.current import Current
from midstage.eventlog.log import Delivered, Delivery, Log, Record, Writer

_WITHIN_S = 5.0
_log = logger(__name__)


class Source(Protocol):
    """Where signals are read."""

    name: str

    def knows(self, wanted: Wanted) -> bool:
        """Whether it is asked for that."""
        ...

    def told(self, wanted: Wanted) -> SignalObserved:
        """The signal now; UnavailableError where it is not known."""
        ...


class Known:
    """The newest of each signal, as the topic has it since this process began."""

    def __init__(self, *, log: Log, topic: Topic, monotonic: Callable[[], float]) -> None:
        """Connect nothing yet."""
        self._newest = Newest()
        self.loop = Current(
            name="signals",
            log=log,
            stream=topic,
            read=Decoders(topic),
            apply=self._apply,
            monotonic=monotonic,
        )

    def all(self, app: str | None = None) -> Sequence[SignalObserved]:
        """Those of an application, or all, in order."""
        with self.loop.changed:
            return self._newest.all(app)

    def at(self, wanted: Wanted, source: str) -> datetime | None:
        """When the source said it last."""
        with self.loop.changed:
            found = self._newest.of(
                (wanted.app, wanted.kind.value, wanted.name, wanted.series, source)
            )
        return None if found is None else found.observed_at

    def _apply(self, event: Event[Fact], _record: Record) -> None:
        assert isinstance(event.data, SignalObserved)  # the topic has no others
        self._newest.apply(event.data)


class Writing:
    """Writes signals; for any thread."""

    def __init__(
        self, *, log: Log, topic: Topic, now: Callable[[], datetime], within_s: float = _WITHIN_S
    ) -> None:
        """Connect nothing yet."""
        self._log = log
        self._topic = topic.name
        self._now = now
        self._within_s = within_s
        self._lock = threading.Lock()
        self._writer: Writer | None = None

    def write(self, facts: Sequence[SignalObserved]) -> None:
        """Return when the log has them; UnavailableError: some may not stand there."""
        waiting = threading.Semaphore(0)
        failed: list[str] = []

        def done(delivery: Delivery) -> None:
            if not isinstance(delivery, Delivered):
                failed.append(delivery.reason)
            waiting.release()

        writer = self._opened()
        for fact in facts:
            writer.send(message(self._event(fact), topic=self._topic, key=fact.app), done)
        deadline = time.monotonic() + self._within_s
        for _ in facts:
            if not waiting.acquire(timeout=max(0.0, deadline - time.monotonic())):
                failed.append("it did not answer in time")
                break
        if failed:
            raise UnavailableError(f"the log has not all signals: {failed[0]}; send them again")

    def check(self) -> None:
        """Raise what broke the client for good."""
        if self._writer is not None:
            self._writer.flush(0.0)

    def _opened(self) -> Writer:
        with self._lock:
            if self._writer is None:
                self._writer = self._log.writer()
            return self._writer

    def _event(self, fact: SignalObserved) -> Event[SignalObserved]:
        return Event(
            id=uuid.uuid4().hex,
            source=f"control/{fact.source}",
            type=SIGNAL_OBSERVED,
            time=self._now(),
            subject=fact.app,
            data=fact,
        )


class Reading:
    """A chassis Loop that reads one source."""

    def __init__(
        self,
        source: Source,
        *,
        apps: Callable[[], Mapping[str, Specified]],
        known: Known,
        writing: Writing,
        every_s: float,
        now: Callable[[], datetime],
    ) -> None:
        """Ask nothing yet; each signal is asked for each ``every_s``."""
        self.name = f"signals:{source.name}"
        self._source = source
        self._apps = apps
        self._known = known
        self._writing = writing
        self._every_s = every_s
        self._now = now
        self._unknown: dict[Wanted, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop`` is set."""
        while not stop.wait(self._every_s):
            self._writing.check()
            asked = [each for each in wanted(self._apps()) if self._source.knows(each)]
            self._unknown = {each: why for each, why in self._unknown.items() if each in asked}
            for each in asked:
                if stop.is_set():
                    return
                if self._due(each):
                    self._read(each)

    def _due(self, each: Wanted) -> bool:
        at = self._known.at(each, self._source.name)
        half = timedelta(seconds=self._every_s / 2)  # the loop's own last one is a little younger
        return at is None or self._now() - at >= half

    def _read(self, each: Wanted) -> None:
        """Say what is known; what is not is told once in the log, and is not said."""
        try:
            self._writing.write([self._source.told(each)])
        except UnavailableError as e:
            if each not in self._unknown:
                _log.warning(
                    "signal_unknown", app=each.app, signal=each.name, source=self._source.name,
                    reason=str(e),
                )  # fmt: skip
            self._unknown[each] = str(e)
        else:
            self._unknown.pop(each, None)
