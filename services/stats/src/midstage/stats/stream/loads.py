"""Each second the load of each application leaves for the log, from what the ledger holds.

Facts are not in the ledger's transaction: after a crash the last minute is written again from its
rows, with the same revisions, so readers that have them change nothing.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import message
from midstage.eventlog.log import Log
from midstage.stats.model import Batch, Source
from midstage.stats.views import gauges
from midstage.stats.views.load import WINDOW, Finished, Window, absorbed, due, finished

SOURCE = "stats/0"
TICK_S = 0.25
_FLUSH_S = 2.0


class Loads:
    """A loop that writes load facts; batches come in from the counting thread."""

    name = "loads"

    def __init__(
        self,
        *,
        log: Log,
        topic: Topic,
        now: Callable[[], datetime],
        sources: Iterable[Source],
        recent: Iterable[Finished],
        specified: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """Begin with the ledger's sources and the requests of its last minute.

        ``specified`` tells which applications shall run now.
        """
        self._log = log
        self._topic = topic.name
        self._now = now
        self._lock = threading.Lock()
        self._sources = {source.name: source for source in sources}
        self._window = absorbed(Window(), recent, now=now())
        self._specified = specified
        self._newest: dict[str, LoadObserved] = {}

    def absorb(self, batch: Batch, now: datetime) -> None:
        """Add what has just become durable."""
        recent = [finished(row) for row in batch.rows if abs(now - row.time) <= WINDOW]
        with self._lock:
            self._sources.update((source.name, source) for source in batch.sources)
            self._window = absorbed(self._window, recent, now=now)

    def due(self) -> tuple[LoadObserved, ...]:
        """The facts to write now; each is handed out once."""
        now, specified = self._now(), self._specified()
        with self._lock:
            held = list(self._sources.values())
            self._window, facts = due(
                self._window,
                now=now,
                carrying=gauges.carrying(held, now=now),
                complete_until=gauges.complete_until(held, now=now),
                specified=specified,
            )
            for fact in facts:
                self._keep(fact)
            for app in self._newest.keys() - self._window.apps.keys():
                del self._newest[app]
        return facts

    def newest(self) -> Mapping[str, LoadObserved]:
        """The newest second of each application lately heard of, in its newest revision."""
        with self._lock:
            return dict(self._newest)

    def run(self, stop: threading.Event) -> None:
        """Write what is due until ``stop`` is set."""
        writer = self._log.writer()
        try:
            while not stop.wait(TICK_S):
                for fact in self.due():
                    writer.send(message(_event(fact), topic=self._topic, key=fact.app))
        finally:
            writer.flush(_FLUSH_S)
            writer.close()

    def _keep(self, fact: LoadObserved) -> None:
        held = self._newest.get(fact.app)
        if held is None or fact.second >= held.second:
            self._newest[fact.app] = fact


def _event(fact: LoadObserved) -> Event[LoadObserved]:
    second = fact.second.isoformat()
    return Event(
        id=f"{fact.app}/{second}/{fact.shard}/{fact.revision}",
        source=SOURCE,
        type=LOAD_OBSERVED,
        time=fact.second,
        subject=fact.app,
        data=fact,
    )
