"""A whole run: edges, clients and shards around a broker; everybody dies, and nothing may be lost.

One thread does everything: it feeds, kills, waits for the death, starts again, and at the end lets
everything settle and judges. The same seed does the same deeds; their moments differ.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from midstage.local.ports import LOOPBACK
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests.crash.cast import KEY, LEDGER, Cast, Plan, begun
from tests.crash.children import Broker, Child
from tests.crash.deeds import BETWEEN, BROKER, SHARD, Deed, deeds
from tests.crash.feed import accepted
from tests.crash.verdict import Evidence, Verdict, copies, ends, judged

TRICKLE = 8
DIES_WITHIN_S = 120.0
SETTLES_WITHIN_S = 300.0
IDLE_S = 6.0
LATE_WITHIN_S = 60.0


@dataclass(kw_only=True)
class Run:
    """One run as it goes on."""

    broker: Broker
    cast: Cast
    random: Random
    kills: Counter[str] = field(default_factory=Counter)
    woken_at: list[Mapping[int, int]] = field(default_factory=list)
    fed: int = 0

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
        done = self._bites([child.order for child in kin])
        return done and within(DIES_WITHIN_S, lambda: self._deaths(kin) > before)

    def _deaths(self, kin: Sequence[Child]) -> int:
        self.tend()
        return sum(len(child.ends) for child in kin)

    def _bites(self, orders: Sequence[Path]) -> bool:
        """Whether one was taken; events trickle meanwhile, since places are in their way."""

        def taken() -> bool:
            self.feed(TRICKLE)
            return any(not order.exists() for order in orders)

        try:
            return within(DIES_WITHIN_S, taken, every=0.1)
        except AssertionError:
            say(f"the place was not reached: {orders[0]}")
            return False
        finally:
            for order in orders:
                order.unlink(missing_ok=True)

    def _stopped(self, deed: Deed, child: Child) -> None:
        """It stops with work in its hands, its successor does that work, and it wakes."""
        ordered(child.stop_order, deed.place)
        if not self._bites([child.stop_order]):
            return
        within(DIES_WITHIN_S, child.stopped)
        zombie = child.succeeded()
        within(SETTLES_WITHIN_S, self._all_sent, every=0.2)
        before = ends(self.broker.address)
        self.woken_at.append(before)
        zombie.send_signal(signal.SIGCONT)
        within(LATE_WITHIN_S, lambda: ends(self.broker.address) != before, every=0.1)
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
        within(SETTLES_WITHIN_S, self._all_sent, every=0.2)
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

        within(SETTLES_WITHIN_S, counted, every=0.3)

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
    broker = Broker(folder / "kafka")
    cast = begun(plan, folder, broker)
    began = Run(broker=broker, cast=cast, random=Random(plan.seed))
    try:
        for child in cast.everybody():
            child.start()
        within(SETTLES_WITHIN_S, began.answering, every=0.2)
        todo = plan.only or deeds(Random(plan.seed), kills=plan.kills)
        for number, deed in enumerate(todo, 1):
            began.feed(plan.events // (len(todo) + 1))
            began.tend()
            began.do(deed)
            say(f"{number}/{len(todo)} {deed.who} {deed.place} fed {began.fed:,}")
        began.feed(max(plan.edges + plan.clients, plan.events - began.fed))
        began.settle()
        evidence = began.evidence()
        for shard in cast.children[SHARD]:
            assert shard.ended(signal.SIGTERM) == 0, shard.words()
        return judged(
            broker.address,
            ledgers=[child.folder / LEDGER for child in cast.children[SHARD]],
            accepted=accepted([*cast.edges, *cast.clients]),
            keys={feed.edge: KEY for feed in cast.edges},
            evidence=evidence,
        )
    finally:
        for child in cast.everybody():
            if child.process is not None:
                child.process.kill()
                child.process.wait()
        broker.close()


def status(port: int) -> tuple[int, int | None] | None:
    """A shard's rows and the records that it has not counted yet; None: no answer."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/v1/status", timeout=2) as answer:
            said = json.load(answer)
    except OSError:
        return None
    return said["rows"], said["lag_records"]


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} crash: {text}\n")
    sys.stderr.flush()
