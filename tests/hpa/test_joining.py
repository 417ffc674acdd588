"""Processes join, leave, die, hang and wake: each application is decided by one at a time.

The real sharing, folds and decisions over a log in memory, one step after the other, by a clock of
the test's own. Who hangs holds decisions that it made and has not sent: it sends them as it wakes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.scaling import ScaleDecided, ScalingFact
from midstage.contracts.topics import Topic
from midstage.eventlog.appended import (
    Appended,
    Facts,
    PartitionTaken,
    command,
    logged,
    taken,
    written,
)
from midstage.eventlog.fold import Fold, Verdict
from midstage.eventlog.log import BEGINNING, Delivery, Log, Message, Reader, Record, Writer
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import decide, evolve
from midstage.hpa.metrics import Metrics
from midstage.hpa.model import Scaler
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.owning import Owning
from midstage.hpa.stream.sharing import BEAT_S, Sharing
from midstage.hpa.views.members import SILENCE_S
from midstage.testkit.clock import NOON
from tests.hpa.conftest import created
from tests.hpa.engine import inputs, load

pytestmark = pytest.mark.slow
NAMES = Topics()
PARTITIONS = NAMES.scaling.partitions
APPS = [f"app-{number}" for number in range(9)]
FREE = Rate(pods=1000)
POLICY = Policy(
    min=1, max=500, targets=Targets(concurrency=1), stabilise_down_s=0, up=FREE, down=FREE
)
QUIET_S = SILENCE_S + 4 * BEAT_S
"""So long after the last change all is as it should be."""


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.s)

    def monotonic(self) -> float:
        return self.s

    def ms(self) -> int:
        return int(self.now().timestamp() * 1000)


class Prompt:
    """A writer whose messages stand in the log as soon as they were sent."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner
        self.flush, self.close = inner.flush, inner.close

    def send(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        self._inner.send(message, done)
        assert self._inner.flush(60) == 0


class PromptLog:
    """The log in memory with such writers."""

    def __init__(self, inner: Log) -> None:
        self._inner = inner
        self.reader, self.create, self.partitions = inner.reader, inner.create, inner.partitions
        self.ends, self.beginnings, self.offsets_at = (
            *(inner.ends, inner.beginnings),
            inner.offsets_at,
        )

    def writer(self) -> Writer:
        return Prompt(self._inner.writer())


class Copy:
    """One process's fold of a versioned log, read whenever it is asked."""

    def __init__(self, log: Log, topic: Topic, writer: Writer, time: Time) -> None:
        self._topic, self._writer, self._time = topic, writer, time
        self._reader = log.reader(dict.fromkeys(log.partitions(topic.name), BEGINNING))
        self._fold: Fold[Scaler, ScalingFact] = Fold(topic=topic, initial=Scaler(), evolve=evolve)

    def held(self) -> Mapping[int, PartitionTaken]:
        for record in self._reader.poll(most=10_000, timeout_s=0):
            self._fold.apply(record)
        return self._fold.held()

    def take(self, partition: int, owner: str) -> None:
        known = self.held().get(partition)
        if known is not None and known.owner == owner:
            return
        epoch = 1 if known is None else known.epoch + 1
        by = PartitionTaken(partition=partition, epoch=epoch, owner=owner)
        at = self._time.now()
        self._writer.send(taken(self._topic, event_id=f"{owner}/{epoch}", by=by, at=at))

    def state(self, app: str) -> tuple[int, Scaler]:
        return self._fold.state(app)


@dataclass(slots=True, kw_only=True)
class Process:
    name: str
    sharing: Sharing
    reader: Reader
    scaling: Copy
    owning: Owning
    in_hand: list[Message] = field(default_factory=list)


class Platform:
    """Processes by name: some run, some hang."""

    def __init__(self) -> None:
        self.time = Time()
        self.log = PromptLog(MemoryLog(now_ms=self.time.ms))
        created(self.log, NAMES)
        self.writer = self.log.writer()
        self.run: dict[str, Process] = {}
        self.hang: dict[str, Process] = {}
        self._names, self._ids = count(1), count(1)

    def join(self) -> None:
        name = f"hpa/{next(self._names)}"
        scaling, alarms = (
            Copy(self.log, topic, self.writer, self.time) for topic in (NAMES.scaling, NAMES.alarms)
        )
        sharing = Sharing(
            log=self.log,
            topic=NAMES.members,
            member=name,
            partitions=PARTITIONS,
            scaling=scaling,
            alarms=alarms,
            able=lambda: None,
            metrics=Metrics(CollectorRegistry()),
            now=self.time.now,
            monotonic=self.time.monotonic,
        )
        self.run[name] = Process(
            name=name,
            sharing=sharing,
            reader=sharing.opened(),
            scaling=scaling,
            owning=Owning(held=scaling.held, partitions=PARTITIONS, owner=name),
        )

    def leave(self, name: str) -> None:
        self.run.pop(name).sharing.leave()

    def kill(self, name: str) -> None:
        (self.run.pop(name, None) or self.hang.pop(name)).reader.close()

    def stop(self, name: str) -> None:
        """It hangs between a decision and its being sent."""
        process = self.hang[name] = self.run.pop(name)
        self.time.s += BEAT_S
        process.in_hand = list(self._decisions(process))

    def wake(self, name: str) -> None:
        process = self.run[name] = self.hang.pop(name)
        self._send(process.in_hand)

    def beats(self, number: int) -> None:
        for _ in range(number):
            self.time.s += BEAT_S
            for process in list(self.run.values()):
                process.sharing.turn(process.reader)
                self._send(list(self._decisions(process)))

    def close(self) -> None:
        for name in [*self.run]:
            self.leave(name)
        self.writer.close()

    def _decisions(self, process: Process) -> list[Message]:
        """What it would append of the applications that it holds, as far as it knows."""
        found = []
        for app in APPS:
            epoch = process.owning.epoch(app)
            if epoch is None:
                continue
            version, scaler = process.scaling.state(app)
            made = evaluate(
                inputs(
                    app=app,
                    now=self.time.now(),
                    policy=POLICY,
                    current=scaler.count,
                    load=msgspec.structs.replace(
                        load(concurrency=carried(self.time.s)), gauged_until=self.time.now()
                    ),
                    cluster_at=self.time.now(),
                    scale_version=version,
                )
            )
            facts = decide(scaler, made)
            if facts:
                number = next(self._ids)
                by = command(key=app, command_id=f"c{number}", payload=b"")
                found.append(
                    written(
                        NAMES.scaling,
                        event_id=f"e{number}",
                        by=by,
                        version=version + 1,
                        engine=process.name,
                        facts=facts,
                        at=self.time.now(),
                        epoch=epoch,
                    )
                )
        return found

    def _send(self, messages: list[Message]) -> None:
        for each in messages:
            self.writer.send(each)


def carried(second: float) -> float:
    """Another load at each beat, and never more than the four ready ones carry."""
    return (1.0, 2.0, 4.0)[int(second / BEAT_S) % 3]


def records(platform: Platform) -> list[Record]:
    places = platform.log.partitions(NAMES.scaling.name)
    reader = platform.log.reader(dict.fromkeys(places, BEGINNING))
    return list(reader.poll(most=1_000_000, timeout_s=0))


def assert_one_decided_at_a_time(platform: Platform) -> None:
    """What counts was decided by who held the partition then, on what counted before."""
    fold: Fold[Scaler, ScalingFact] = Fold(topic=NAMES.scaling, initial=Scaler(), evolve=evolve)
    read, facts_of = logged(NAMES.scaling), Facts[ScalingFact](NAMES.scaling)
    since: dict[int, datetime] = {}
    counts: dict[str, int] = {}
    for record in records(platform):
        verdict, event = fold.apply(record).verdict, read(record)
        match event.data:
            case PartitionTaken() if verdict is Verdict.TAKEN:
                since[record.partition.number] = event.time
            case Appended() as appended if verdict is Verdict.ACCEPTED:
                number = partition_of(appended.key.encode(), PARTITIONS)
                [fact] = facts_of(appended.facts)
                assert isinstance(fact, ScaleDecided)
                assert appended.engine == fold.held()[number].owner
                assert fact.at >= since[number]
                assert fact.previous == counts.get(appended.key, 0)
                counts[appended.key] = fact.replicas


def assert_settled(platform: Platform) -> None:
    """Each partition is held by one that runs, fairly, and each application has what it needs."""
    members = platform.run.values()
    held = next(iter(members)).scaling.held()
    owners = [held[number].owner for number in range(PARTITIONS)]
    assert set(owners) <= set(platform.run)
    shares = [owners.count(name) for name in platform.run]
    assert max(shares) - min(shares) <= 1
    for member in members:
        assert member.scaling.held() == held
        for app in APPS:
            assert member.scaling.state(app)[1].count == carried(platform.time.s)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "kill", "stop", "stop", "wake"]),
        st.integers(0, 5),
        st.integers(0, 12),
    ),
    max_size=14,
)


@settings(max_examples=20, deadline=None)
@given(STEPS)
def test_whoever_comes_and_goes_one_decides_at_a_time(steps: list[tuple[str, int, int]]) -> None:
    """After each step some half seconds pass, too few or enough for others to notice."""
    platform = Platform()
    platform.join()
    for what, which, beats in steps:
        those = sorted(platform.hang if what == "wake" else platform.run)
        if what == "join":
            platform.join()
        elif those:
            getattr(platform, what)(those[which % len(those)])
        platform.beats(beats)
    if not platform.run:
        platform.join()
    platform.beats(int(QUIET_S / BEAT_S))
    assert_settled(platform)
    for name in sorted(platform.hang):
        platform.wake(name)
    platform.beats(int(QUIET_S / BEAT_S))
    assert_settled(platform)
    assert_one_decided_at_a_time(platform)
    platform.close()


def test_a_zombie_that_wakes_after_its_successor_decided_nothing_changes_nothing() -> None:
    platform = Platform()
    platform.join()
    platform.beats(4)
    platform.join()
    platform.stop("hpa/1")
    before = {app: platform.hang["hpa/1"].scaling.state(app) for app in APPS}
    assert len(platform.hang["hpa/1"].in_hand) == len(APPS)
    while any(taken.owner == "hpa/1" for taken in platform.run["hpa/2"].scaling.held().values()):
        platform.time.s += BEAT_S
        process = platform.run["hpa/2"]
        process.sharing.turn(process.reader)
    platform.wake("hpa/1")
    platform.run["hpa/2"].scaling.held()
    assert {app: platform.run["hpa/2"].scaling.state(app) for app in APPS} == before
    platform.close()


def test_who_leaves_is_replaced_at_once_and_who_dies_within_seconds() -> None:
    platform = Platform()
    for _ in range(2):
        platform.join()
    platform.beats(6)
    assert_settled(platform)
    platform.leave("hpa/1")
    platform.beats(2)
    assert_settled(platform)
    platform.join()
    platform.beats(6)
    assert_settled(platform)
    platform.kill("hpa/3")
    platform.beats(int(QUIET_S / BEAT_S))
    assert_settled(platform)
    platform.close()
