"""Each second the load of each application leaves through the outbox, from what the ledger holds.

The mark says which commits and which seconds the facts so far rest on: after a restart the rows of
the last minute give the same revisions, and nothing is told twice. Facts of a shard that lags rest
on commits of some seconds ago: or each chunk would have the whole minute told again.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.contracts.topics import Topic
from midstage.eventlog.log import Partition
from midstage.stats.model import Batch, Committed, Source
from midstage.stats.stream.outbox import NOTHING_DUE, Due, event_id, outgoing
from midstage.stats.views import gauges
from midstage.stats.views.gauges import Heard
from midstage.stats.views.load import WINDOW, Window, absorbed, due
from midstage.stats.views.seconds import Key, Second, near, seconds
from midstage.stats.views.shards import Shard

LAGGING = 10_000
"""Events that wait, from which on a shard lags; a record may be a batch of some thousand."""
CAUGHT_UP_EVERY = timedelta(seconds=3)
"""While it lags; less than an edge may be silent."""
REMEMBERED = timedelta(seconds=10)
"""How far shards may be behind each other for the newest load of all to be known."""


class Edges:
    """What the edges say through this shard; asked once for each moment."""

    def __init__(self, sources: Iterable[Source], *, lag: Callable[[], int | None]) -> None:
        """Begin with the ledger's sources; ``lag``: records that wait for this shard."""
        self._sources = {source.name: source for source in sources}
        self._lag = lag
        self._asked: tuple[datetime, int | None] | None = None
        self._none_waited: datetime | None = None
        self._said: tuple[datetime, Heard] | None = None

    def absorb(self, sources: Iterable[Source]) -> None:
        """These states are durable."""
        self._sources.update((source.name, source) for source in sources)

    def lag(self, now: datetime) -> int | None:
        """Records that wait now; None: unknown."""
        if self._asked is None or self._asked[0] != now:
            self._asked = (now, self._lag())
        return self._asked[1]

    def heard(self, now: datetime) -> Heard:
        """What they say now."""
        if self._said is None or self._said[0] != now:
            lag = self.lag(now)
            read = gauges.read_until(self._none_waited, lag=lag, now=now)
            self._none_waited = now if lag == 0 else None
            held = list(self._sources.values())
            self._said = (now, gauges.heard(held, now=now, read_until=read))
        return self._said[1]


class Loads:
    """Implements ``outbox.Teller`` for load facts."""

    def __init__(
        self,
        *,
        topic: Topic,
        shard: Shard,
        edges: Edges,
        window: Window,
        version: int,
        specified: Callable[[], Collection[str]] = frozenset,
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        """Begin with the requests of the last minute, of all commits up to ``version``.

        ``specified`` tells which applications shall run now, ``waiting`` about how many events
        wait for this shard.
        """
        self._topic = topic.name
        self._shard = shard
        self._edges = edges
        self._window = window
        self._version = version
        self._behind: list[tuple[Iterable[Source], dict[Key, Second], Committed]] = []
        self._caught_up: datetime | None = None
        self._specified = specified
        self._waiting = waiting
        self._lock = threading.Lock()
        self._recent: dict[str, dict[datetime, LoadObserved]] = {}

    def absorb(self, batch: Batch, committed: Committed) -> None:
        """Add what has just become durable."""
        recent = seconds(batch.rows, near(batch.rows, now=committed.at, within=WINDOW))
        self._behind.append((batch.sources, recent, committed))

    def due(self, now: datetime) -> Due:
        """The facts of the second that is over, and of those that late events changed."""
        facts = self.facts(now)
        if not facts:
            return NOTHING_DUE
        leaving = tuple(outgoing(_event(fact), topic=self._topic, key=fact.app) for fact in facts)
        return Due(outgoing=leaving, marks=self._marks())

    def facts(self, now: datetime) -> tuple[LoadObserved, ...]:
        """The facts to write now; each is handed out once."""
        self._catch_up(now)
        self._window, facts = due(
            self._window,
            now=now,
            heard=self._edges.heard(now),
            specified=self._specified(),
            shard=self._shard,
        )
        with self._lock:
            for fact in facts:
                self._keep(fact)
            for app in self._recent.keys() - self._window.apps.keys():
                del self._recent[app]
        return facts

    def recent(self) -> tuple[LoadObserved, ...]:
        """The last seconds of each application lately heard of, each in its newest revision."""
        with self._lock:
            return tuple(fact for facts in self._recent.values() for fact in facts.values())

    def _catch_up(self, now: datetime) -> None:
        """Rows, what the edges said of them and the mark go on together."""
        lagging = self._waiting() >= LAGGING
        if lagging and self._caught_up is not None and now - self._caught_up < CAUGHT_UP_EVERY:
            return
        self._caught_up = now
        for sources, recent, committed in self._behind:
            self._edges.absorb(sources)
            self._window = absorbed(self._window, recent, now=committed.at)
            self._version = committed.version
        self._behind.clear()

    def _keep(self, fact: LoadObserved) -> None:
        held = {**self._recent.get(fact.app, {}), fact.second: fact}
        oldest = max(held) - REMEMBERED
        self._recent[fact.app] = {second: held[second] for second in held if second >= oldest}

    def _marks(self) -> dict[Partition, int]:
        marks = {version_mark(self._topic): self._version}
        if self._window.written_until is not None:
            marks[time_mark(self._topic)] = int(self._window.written_until.timestamp())
        return marks


def version_mark(topic: str) -> Partition:
    """Under this position the ledger keeps the last commit that facts of ``topic`` rest on."""
    return Partition(topic=topic, number=0)


def time_mark(topic: str) -> Partition:
    """Under this position the ledger keeps up to when, in seconds, ``topic`` has been told."""
    return Partition(topic=topic, number=1)


def told_until(positions: Mapping[Partition, int], topic: str) -> datetime | None:
    """Up to when facts of ``topic`` were told; None where none was."""
    at = positions.get(time_mark(topic))
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _event(fact: LoadObserved) -> Event[LoadObserved]:
    return Event(
        id=event_id(
            fact.app, fact.second.isoformat(), f"{fact.shard}-{fact.shards}", str(fact.revision)
        ),
        source=f"stats/{fact.shard}",
        type=LOAD_OBSERVED,
        time=fact.second,
        subject=fact.app,
        data=fact,
    )
