"""What a watch that goes wrong must not do: lose, double, hammer the cluster, or hang unseen."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from midstage.chassis.clock import Clock, SystemClock
from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Change, Listing
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.cluster import (
    ClusterReached,
    ClusterUnreachable,
    ObjectGone,
    PodObserved,
)
from midstage.contracts.errors import UnavailableError
from midstage.contracts.inventory import key_of_fact
from midstage.control.metrics import Metrics
from midstage.control.stream.cluster import WatchEndedError
from midstage.control.stream.known import Known
from midstage.control.stream.reflecting import GONE_FOR, Reflector
from midstage.control.stream.tenure import Tenure
from midstage.control.stream.watching import SILENT_S, Watching
from midstage.control.stream.writing import Writing
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.log import BEGINNING
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.clock import FrozenClock
from midstage.testkit.waiting import within
from tests.control.conftest import Pair, pair_on, really, running, scaled, state, workload


class Expiring(MemoryCluster):
    """It lists, and answers each watch 410: at once, or after a bookmark."""

    def __init__(self, *, bookmarks: int) -> None:
        super().__init__(name="local")
        self.lists = 0
        self._bookmarks = bookmarks

    def list(self) -> Listing:
        self.lists += 1
        return super().list()

    def watch(self, since: int) -> Iterator[Change]:
        for _ in range(self._bookmarks):
            yield Change(resource_version=since)
        raise ExpiredError("too old, as ever")


class Hasty(threading.Event):
    """Keeps how long it was asked to wait, and waits not at all; set after ``most`` times."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


@pytest.mark.slow
@pytest.mark.parametrize("bookmarks", [0, 1])
def test_a_cluster_that_always_answers_410_is_not_hammered(pair: Pair, bookmarks: int) -> None:
    """Each listing is followed by a wait, longer each time; what is known is not written again."""
    cluster = Expiring(bookmarks=bookmarks)
    cluster.put_workload(workload(2), expected=0)
    random.seed(5)
    stop = Hasty(40)
    reflected(pair, cluster, stop, clock=FrozenClock())  # it says once in 5 s that it answers
    assert cluster.lists == 40
    assert sum(stop.waits[:5]) < 1.6  # after the first ones it is tried again soon
    assert sum(stop.waits) > 15
    told = Counter((key_of_fact(f), f.resource_version) for f in pair.changes())
    assert set(told.values()) == {1}
    assert len(pair.said(ClusterReached)) == 1


def test_a_watch_that_tells_nothing_is_noticed() -> None:
    """Half open: nothing comes, not even the end. A bookmark each 5 s is what a cluster owes."""
    opened, release = threading.Event(), threading.Event()

    class HalfOpen(MemoryCluster):
        def watch(self, since: int) -> Iterator[Change]:
            yield Change(resource_version=since)
            opened.set()
            release.wait(60)

    clock = FrozenClock()
    watching = Watching(
        HalfOpen(), since=0, usage_every_s=60, monotonic=clock.monotonic, gpus=tuple
    )
    try:
        within(60, opened.is_set)
        assert len(watching.take(0.1).changes) == 1
        clock.advance(SILENT_S)
        assert watching.take(0).changes == []
        clock.advance(0.1)
        with pytest.raises(WatchEndedError, match="told nothing"):
            watching.take(0)
    finally:
        watching.close()
        release.set()


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_whatever_the_watch_goes_through(tmp_path: Path) -> None:
    pair = pair_on(MemoryLog())
    guard(pair, MemoryCluster(name="local"), tmp_path)


@pytest.mark.slow
def test_a_watch_that_goes_on_without_the_differences_is_caught(tmp_path: Path) -> None:
    """The negative control: a swapped adapter that goes on from now after a 410 or a break."""

    class Careless(MemoryCluster):
        def watch(self, since: int) -> Iterator[Change]:
            while True:
                try:
                    yield from super().watch(since)
                except (ExpiredError, UnavailableError):
                    since = within(60, self._newest)

        def _newest(self) -> int:
            try:
                return self.list().resource_version
            except UnavailableError:
                return 0

    with pytest.raises(AssertionError, match="not within"):
        guard(pair_on(MemoryLog()), Careless(name="local"), tmp_path, within_s=1.5)


@pytest.mark.slow
def test_what_was_gone_long_ago_is_taken_out_of_the_inventory(both: Pair) -> None:
    """An hour later nothing stands under its key any more; what is there stays."""
    cluster, clock, stop = MemoryCluster(name="local"), FrozenClock(), threading.Event()
    cluster.put_workload(workload(2), expected=0)
    pods = sorted(f"local/pod/default/{pod.name}" for pod in cluster.pods())
    reflecting = threading.Thread(
        target=lambda: reflected(both, cluster, stop, clock=clock), daemon=True
    )
    reflecting.start()
    try:
        within(60, lambda: len(both.said(PodObserved)) == 2)
        scaled(cluster, 0)
        within(60, lambda: len(both.said(ObjectGone)) == 2)
        assert marks(both) == []
        clock.advance(GONE_FOR + timedelta(seconds=1))
        within(60, lambda: sorted(marks(both)) == pods)
    finally:
        stop.set()
        reflecting.join(60)
    assert state(both.written(both.inventory)) == really(cluster)


def marks(pair: Pair) -> list[str]:
    """The keys in the inventory topic that compaction was told to forget."""
    places = pair.log.partitions(pair.inventory.name)
    ends = pair.log.ends(places)
    reader = pair.log.reader(dict.fromkeys(places, BEGINNING))
    found: list[str] = []
    while any(reader.positions()[place] < end for place, end in ends.items()):
        records = reader.poll(most=1000, timeout_s=1)
        found += [(each.key or b"").decode() for each in records if each.value is None]
    reader.close()
    return found


def guard(pair: Pair, cluster: MemoryCluster, directory: Path, *, within_s: float = 60) -> None:
    """Changes while the watch breaks in every way; in the end a full list says the same."""
    cluster.put_workload(workload(2), expected=0)
    with running(pair, [cluster], directory):
        for round_, replicas in enumerate((4, 1, 3, 0, 2)):
            cluster.cut("for a moment")
            cluster.set_node("node-1", schedulable=bool(round_ % 2))
            cluster.mend()
            scaled(cluster, replicas)
            cluster.forget()
        scaled(cluster, 3)
        cluster.cut("for the last time")
        cluster.set_node("node-1", schedulable=False)
        cluster.mend()
        within(within_s, lambda: state(pair.written(pair.stream)) == really(cluster))
        within(60, lambda: state(pair.written(pair.inventory)) == really(cluster))
    told = Counter((key_of_fact(f), f.resource_version, type(f)) for f in pair.changes())
    again = (ClusterReached, ClusterUnreachable)  # told each time, of no version
    assert [each for each, count in told.items() if count > 1 and each[2] not in again] == []


def reflected(
    pair: Pair, cluster: MemoryCluster, stop: threading.Event, *, clock: Clock | None = None
) -> None:
    """One reflector, until ``stop`` is set, in this thread."""
    clock, metrics = clock or SystemClock(), Metrics(CollectorRegistry())
    known = Known(log=pair.log, topic=pair.inventory, monotonic=clock.monotonic)
    ended = threading.Event()
    folding = threading.Thread(target=known.loop.run, args=(ended,))
    folding.start()
    try:
        Reflector(
            cluster,
            tenure=Tenure(cluster, holder="me", lease_s=60, monotonic=clock.monotonic),
            known=known,
            writing=lambda: Writing(
                log=pair.log,
                stream=pair.stream,
                inventory=pair.inventory,
                metrics=metrics,
                reached=nothing,
            ),
            clock=clock,
            metrics=metrics,
            usage_every_s=60,
            gpus=tuple,
        ).run(stop)
    finally:
        ended.set()
        folding.join(60)
