"""Ends of requests that stood in the log before they were asked for.

A lost owner's requests have mostly ended before anybody counts in its place. What stands in the log
since they began is read once more, up to where ``follows`` says that the ends are followed from;
of all that is read there, only the requests that were asked for are told of, and those of customers
for whom somebody else counted then.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Final

import msgspec

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.contracts.topics import REQUESTS, Topic
from midstage.eventlog.backoff import Backoff
from midstage.eventlog.log import Log, Record
from midstage.throttle.model.checks import Ended
from midstage.throttle.stream.endings import Genuine, told_by

SLACK_NS: Final = 10_000_000_000
"""By which the brokers' clocks may be behind ours."""
_NS_PER_S: Final = 1_000_000_000
_MOST = 2000
_POLL_S = 0.2
_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    requests: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    since: datetime


class Earlier:
    """A chassis Loop; ``told`` hears of each end on its thread."""

    name = "earlier-endings"

    def __init__(
        self,
        *,
        log: Log,
        keys: Callable[[], Mapping[str, bytes]],
        follows: Callable[[], str | None],
        told: Callable[[Ended], None],
        topic: Topic = REQUESTS,
    ) -> None:
        """``follows`` is None once all ends that are written from then on are followed."""
        self._log = log
        self._follows = follows
        self._told = told
        self._topic = topic
        self._genuine = Genuine(topic=topic, keys=keys)
        self._asked: SimpleQueue[_Asked] = SimpleQueue()

    def look_back(self, requests: Collection[str], since_ns: int) -> None:
        """Tell of these, which began at ``since_ns`` or later; from any thread."""
        since = datetime.fromtimestamp(max(0, since_ns - SLACK_NS) // _NS_PER_S, tz=UTC)
        self._asked.put(_Asked(requests=frozenset(requests), since=since))

    def look_back_for(
        self, customers: Collection[str], since: datetime, requests: Collection[str] = ()
    ) -> None:
        """Tell of these customers' requests that ended since then; from any thread.

        Of ``requests`` as of those that end now.
        """
        self._asked.put(
            _Asked(
                requests=frozenset(requests),
                customers=frozenset(customers),
                since=since - timedelta(microseconds=SLACK_NS // 1000),
            )
        )

    def run(self, stop: threading.Event) -> None:
        """Read for who asks until ``stop``; raises what is neither unreadable nor unavailable."""
        backoff = Backoff()
        asked: _Asked | None = None
        while not stop.is_set():
            try:
                asked = asked or self._asked.get(timeout=_POLL_S)
                if self._follows() is not None:
                    stop.wait(_POLL_S)
                    continue
                self._read(asked, stop)
            except Empty:
                continue
            except UnavailableError as e:
                _log.warning("earlier_endings_unread", reason=str(e))
                backoff.wait(stop)
            else:
                asked = None
                backoff.reset()

    def _read(self, asked: _Asked, stop: threading.Event) -> None:
        """From the beginning again where it fails; an end that is told twice changes nothing."""
        places = self._log.partitions(self._topic.name)
        ends = self._log.ends(places)
        starts = self._log.offsets_at(places, asked.since)
        reader = self._log.reader({place: starts[place] for place in places})
        try:
            while any(at < ends[place] for place, at in reader.positions().items()):
                if stop.is_set():
                    return
                for record in reader.poll(most=_MOST, timeout_s=_POLL_S):
                    self._tell(record, asked)
        finally:
            reader.close()

    def _tell(self, record: Record, asked: _Asked) -> None:
        if record.value is None:
            return
        try:
            events = self._genuine(record)
        except UnreadableError:
            return  # whoever follows the topic names it
        for event in events:
            ended = told_by(event)
            if ended is None:
                continue
            if event.id in asked.requests:
                self._told(ended)
            elif ended.customer in asked.customers:
                self._told(msgspec.structs.replace(ended, earlier=True))
