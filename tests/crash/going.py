"""A run as it goes on: it feeds, waits, tends whoever ended, and asks at the end.

Each wait has an end, and so has the whole: what was waited for in vain is kept for the verdict.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from midstage.testkit.waiting import within
from tests.crash.asked import NotSaidError, Recounted, Stated, recounted, stated, status
from tests.crash.cast import Cast
from tests.crash.children import Broker
from tests.crash.deeds import BETWEEN, SHARD, spared
from tests.crash.feed import YOUNGEST, accepted
from tests.crash.verdict import Evidence, Woken, copies, ends, named

SETTLES_WITHIN_S = 300.0
IDLE_S = 6.0
QUIET_S = 2.0
"""Longer than a writer waits before it tries a broker again."""
JUDGES_WITHIN_S = 900.0
"""What a run may take beyond its own limit, to settle and to be judged."""
MINUTE = timedelta(minutes=1)


@dataclass(kw_only=True)
class Run:
    """One run as it goes on."""

    broker: Broker
    cast: Cast
    random: Random
    until: float
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    kills: Counter[str] = field(default_factory=Counter)
    woken: list[Woken] = field(default_factory=list)
    fed: int = 0
    vain: list[str] = field(default_factory=list)

    def time_is_up(self) -> bool:
        """Whether no more is to be begun."""
        return time.monotonic() >= self.until

    def waited(
        self, what: str, seconds: float, condition: Callable[[], object], *, every: float = 0.1
    ) -> bool:
        """Wait for it; where it does not come it is said, and the run goes on."""
        left = max(1.0, min(seconds, self.until + JUDGES_WITHIN_S - time.monotonic()))
        try:
            within(left, condition, every=every)
        except AssertionError:
            self.vain.append(f"waited in vain for {left:.0f} s: {what}")
            say(self.vain[-1])
            return False
        return True

    def feed(self, count: int) -> None:
        """So many more events, from everybody."""
        each = max(1, count // (len(self.cast.edges) + len(self.cast.clients)))
        for edge in self.cast.edges:
            edge.add(each)
        for client in self.cast.clients:
            client.add(each)
        self.fed += each * (len(self.cast.edges) + len(self.cast.clients))

    def answering(self) -> bool:
        """Whether every shard answers; who could not start yet is started again."""
        self.tend()
        return all(status(port) for port in self.cast.ports)

    def tend(self) -> None:
        """Start again whoever ended."""
        for child in self.cast.everybody():
            child.tended()

    def ends(self) -> Mapping[int, int]:
        """The next offset of each partition of requests."""
        return ends(self.broker.address)

    def quiet(self) -> Mapping[int, int]:
        """The ends of the log once nobody has written for a while: nobody holds anything then."""
        last, since = self.ends(), time.monotonic()

        def still() -> bool:
            nonlocal last, since
            if (now := self.ends()) != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > QUIET_S

        self.waited("nobody writes any more", SETTLES_WITHIN_S, still, every=0.2)
        return last

    def all_sent(self) -> bool:
        """Whether everything that was fed is acknowledged; who ended meanwhile is started."""
        self.tend()
        clients = all(one.spool.acknowledged() >= one.written for one in self.cast.clients)
        return clients and all(edge.acknowledged() for edge in self.cast.edges)

    def settle(self) -> None:
        """Everything was sent, and every shard has counted what there is."""
        self.waited("everything is acknowledged", SETTLES_WITHIN_S, self.all_sent, every=0.2)
        wanted = len(accepted([*self.cast.edges, *self.cast.clients]))
        idle_since: list[float] = []

        def counted() -> bool:
            self.tend()
            said = [status(port) for port in self.cast.ports]
            if any(one is None or one[1] != 0 for one in said):
                idle_since.clear()
                return False
            idle_since.append(time.monotonic())
            rows = sum(one[0] for one in said if one is not None)
            return rows == wanted or idle_since[-1] - idle_since[0] > IDLE_S

        self.waited("every shard has counted all", SETTLES_WITHIN_S, counted, every=0.3)

    def recount(self) -> Recounted | None:
        """Every row counted again by the shards; None where they can't."""
        return self._said("a recount", lambda: recounted(self.cast.ports[0]))

    def statement(self, within_s: float) -> Stated | None:
        """The statement of the time of the whole run; None where it can't be closed."""
        until = (datetime.now(UTC) - YOUNGEST).replace(second=0, microsecond=0) + MINUTE
        since = (self.begun - timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
        found: list[Stated] = []
        why = [""]

        def closed() -> bool:
            self.tend()
            try:
                found.append(stated(self.cast.ports[0], since=since, until=until))
            except NotSaidError as error:
                why[0] = str(error)
            return bool(found)

        self.waited("the period is closed", within_s, closed, every=1.0)
        if not found:
            self.vain.append(f"no statement: {why[0]}")
        return found[0] if found else None

    def _said(self, what: str, ask: Callable[[], Recounted]) -> Recounted | None:
        try:
            return ask()
        except NotSaidError as error:
            self.vain.append(f"{what} was not answered: {error}")
            return None

    def evidence(self) -> Evidence:
        """How often it hurt so far."""
        resent, late = copies(named(self.broker.address), self.woken)
        return Evidence(
            kills=dict(self.kills),
            redelivered=sum(self.kills[f"{SHARD} {place}"] for place in BETWEEN),
            resent=resent,
            late=late,
            spared=spared(self.kills),
        )


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} crash: {text}\n")
    sys.stderr.flush()
