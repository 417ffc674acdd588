"""A whole run: edges, clients and shards around a broker; everybody dies, and nothing may be lost.

One thread does everything: it feeds, kills, waits for the death, starts again, and at the end lets
everything settle and judges. The same seed does the same deeds; their moments differ. Each wait
has an end, and so has the whole: what was waited for in vain is a part of the verdict.
"""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests.crash.asked import NotSaidError, Recounted, Stated, recounted, stated, status
from tests.crash.cast import KEY, LEDGER, Cast, Plan, begun
from tests.crash.children import Broker, Child
from tests.crash.deeds import BETWEEN, BROKER, SHARD, Deed, deeds
from tests.crash.feed import YOUNGEST, accepted
from tests.crash.verdict import Evidence, Verdict, copies, ends, judged

TRICKLE = 8
DIES_WITHIN_S = 120.0
SETTLES_WITHIN_S = 300.0
IDLE_S = 6.0
LATE_WITHIN_S = 60.0
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
    woken_at: list[Mapping[int, int]] = field(default_factory=list)
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

    def do(self, deed: Deed) -> None:
        """Do it, and wait until it is done."""
        if deed.who == BROKER:
            self.broker.killed()
            self.kills["broker"] += 1
            return
        kin = self.cast.children[deed.who]
        if deed.stops:
            self._stopped(deed, self.random.choice(kin))
        elif not deed.place:
            self.random.choice(kin).killed()
            self.kills[f"{deed.who} at once"] += 1
        elif self._died(deed, kin):
            self.kills[f"{deed.who} {deed.place}"] += 1

    def _died(self, deed: Deed, kin: Sequence[Child]) -> bool:
        """All of a kind have the order; the first one there dies (a shard may have no source)."""
        before = self._deaths(kin)
        for child in kin:
            child.order_death(deed.place, after_s=deed.after_s)
        done = self._bites([child.order for child in kin], deed.place)
        return done and self.waited(
            f"a {deed.who} dies at {deed.place}",
            DIES_WITHIN_S,
            lambda: self._deaths(kin) > before,
        )

    def _deaths(self, kin: Sequence[Child]) -> int:
        self.tend()
        return sum(len(child.ends) for child in kin)

    def _bites(self, orders: Sequence[Path], place: str) -> bool:
        """Whether one was taken; events trickle meanwhile, since places are in their way."""

        def taken() -> bool:
            self.feed(TRICKLE)
            return any(not order.exists() for order in orders)

        done = self.waited(f"{orders[0].name} at {place} is taken", DIES_WITHIN_S, taken)
        for order in orders:
            order.unlink(missing_ok=True)
        return done

    def _stopped(self, deed: Deed, child: Child) -> None:
        """It stops with work in its hands, its successor does that work, and it wakes."""
        ordered(child.stop_order, deed.place)
        if not self._bites([child.stop_order], deed.place):
            return
        if not self.waited(f"{child.name} stands still", DIES_WITHIN_S, child.stopped):
            return
        zombie = child.succeeded()
        self.waited("the successor sends all", SETTLES_WITHIN_S, self._all_sent, every=0.2)
        before = ends(self.broker.address)
        self.woken_at.append(before)
        zombie.send_signal(signal.SIGCONT)
        self.waited(
            f"the woken {child.name} sends what it held",
            LATE_WITHIN_S,
            lambda: ends(self.broker.address) != before,
        )
        try:
            zombie.wait(3)
        except subprocess.TimeoutExpired:  # it goes on sending, until here
            zombie.kill()
            zombie.wait()
        self.kills[f"{deed.who} stopped and woken"] += 1

    def _all_sent(self) -> bool:
        self.tend()
        clients = all(one.spool.acknowledged() >= one.written for one in self.cast.clients)
        return clients and all(edge.acknowledged() for edge in self.cast.edges)

    def settle(self) -> None:
        """Everything was sent, and every shard has counted what there is."""
        self.waited("everything is acknowledged", SETTLES_WITHIN_S, self._all_sent, every=0.2)
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
        resent, late = copies(self.broker.address, self.woken_at)
        return Evidence(
            kills=dict(self.kills),
            redelivered=sum(self.kills[f"{SHARD} {place}"] for place in BETWEEN),
            resent=resent,
            late=late,
        )


def run(plan: Plan, folder: Path) -> Verdict:
    """Do all of it; what was found."""
    until = time.monotonic() + plan.within_s
    broker = Broker(folder / "kafka")
    cast = begun(plan, folder, broker)
    began = Run(broker=broker, cast=cast, random=Random(plan.seed), until=until)
    try:
        for child in cast.everybody():
            child.start()
        if began.waited("every shard answers", SETTLES_WITHIN_S, began.answering, every=0.2):
            _through(plan, began)
        began.settle()
        recount, statement = began.recount(), began.statement(plan.closes_within_s)
        evidence = began.evidence()
        for shard in cast.children[SHARD]:
            if shard.ended(signal.SIGTERM) != 0:
                began.vain.append(f"{shard.name} did not end by itself: {shard.words()[-300:]}")
        return judged(
            broker.address,
            ledgers=[child.folder / LEDGER for child in cast.children[SHARD]],
            accepted=accepted([*cast.edges, *cast.clients]),
            keys={feed.edge: KEY for feed in cast.edges},
            evidence=evidence,
            recount=recount,
            statement=statement,
            vain=began.vain,
        )
    finally:
        for child in cast.everybody():
            if child.process is not None:
                child.process.kill()
                child.process.wait()
        broker.close()


def _through(plan: Plan, began: Run) -> None:
    """The deeds of the seed from ``plan.skip`` on, until they are done or time is up."""
    todo = plan.only or deeds(Random(plan.seed), kills=plan.kills)
    for number, deed in enumerate(todo[plan.skip :], plan.skip + 1):
        if began.time_is_up():
            began.vain.append(
                f"time is up after {number - 1} of {len(todo)} deaths; the others: "
                f"--seed {plan.seed} --skip {number - 1}"
            )
            break
        began.feed(plan.events // (len(todo) + 1))
        began.tend()
        began.do(deed)
        said = [status(port) for port in began.cast.ports]
        rows = sum(one[0] for one in said if one is not None)
        say(
            f"{number}/{len(todo)} {deed.who} {deed.place} fed {began.fed:,} counted {rows:,} "
            f"left {max(0, (began.until - time.monotonic()) / 60):.0f} min"
        )
    else:
        began.feed(max(plan.edges + plan.clients, plan.events - began.fed))


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} crash: {text}\n")
    sys.stderr.flush()
