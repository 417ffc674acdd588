"""What the stories of stats are told with: an edge that signs, and a stats on a log in memory."""

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from midstage.chassis.clock import Clock, SystemClock
from midstage.chassis.process import Loop
from midstage.contracts.apps import AppFact
from midstage.contracts.edges import (
    SOURCE_BEAT,
    SOURCE_CLOSED,
    Gauge,
    SourceBeat,
    SourceClosed,
    source_of,
)
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import BILLED, REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import APPS, AUDIT, BILLING, EDGES, LOAD, REQUESTS, USAGE, Topic
from midstage.eventlog.appended import command, written
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import BEGINNING, Log, Message, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.seen import HashFiles
from midstage.stats.config import Settings
from midstage.stats.decide import decide, hashes, named
from midstage.stats.main import Service, Topics, compose
from midstage.stats.model import Arrivals, Batch, Beaten, Ended, Known
from midstage.stats.stream.counting import Ledger, Seen
from midstage.stats.stream.reading import arrivals
from midstage.stats.views.shards import ALONE, Shard
from midstage.testkit.waiting import within

from .remembering import SeenInMemory

if TYPE_CHECKING:
    from .posting import Ways

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
KEY = bytes(range(32))
DEADLINE_S = 60.0


def request(
    source: str,
    seq: int | None,
    *,
    event_id: str | None = None,
    time: datetime = NOON,
    **said: object,
) -> Event[RequestCompleted]:
    """A request of 3 input tokens by ``acme`` on ``chat``, unless ``said`` otherwise."""
    plain: dict[str, object] = {
        "app": "chat",
        "customer": "acme",
        "status": 200,
        "outcome": Outcome.OK,
        "duration_ms": 120.0,
        "usage": {"requests": 1, "input_tokens": 3},
        "ref": f"r-{seq}",
    }
    return Event(
        id=event_id or f"{source}/{seq}",
        source=source,
        type=REQUEST_COMPLETED,
        time=time,
        seq=seq,
        data=RequestCompleted(**{**plain, **said}),  # type: ignore[arg-type]  # a test's own words
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge with one file; what it says is signed with its key."""

    topics: Topics
    name: str = "edge-1"
    file: str = "a"
    key: bytes = KEY

    @property
    def source(self) -> str:
        return source_of(self.name, self.file)

    def line(self, seq: int | None, **said: object) -> Message:
        event = request(self.source, seq, **said)  # type: ignore[arg-type]  # a test's own words
        return message(
            event, topic=self.topics.requests.name, key=self.source, signing_key=self.key
        )

    def beat(
        self,
        highest: int,
        *,
        at: datetime = NOON,
        gauges: tuple[Gauge, ...] | None = (),
        newest: bool = True,
    ) -> Message:
        beat = SourceBeat(
            edge=self.name, highest=highest, complete_until=at, newest=newest, gauges=gauges
        )
        return self._said(SOURCE_BEAT, beat, at)

    def closed(self, highest: int, *, at: datetime = NOON, torn: int = 0) -> Message:
        return self._said(
            SOURCE_CLOSED, SourceClosed(edge=self.name, highest=highest, torn=torn), at
        )

    def _said(self, kind: str, fact: SourceBeat | SourceClosed, at: datetime) -> Message:
        event = Event(
            id=f"{self.source}/{kind}/{at.isoformat()}",
            source=self.source,
            type=kind,
            time=at,
            data=fact,
        )
        return message(event, topic=self.topics.edges.name, key=self.source, signing_key=self.key)


def decided(
    ledger: Ledger, events: Sequence[Event[Fact]], said: tuple[Beaten | Ended, ...] = ()
) -> Batch:
    """What counting would commit of these events and words."""
    arrived = Arrivals(rows=arrivals(events).rows, said=said)
    seen = SeenInMemory()
    seen.absorb(ledger.unnumbered(0), row=ledger.row())
    known = Known(sources=ledger.sources(named(arrived)), seen=seen.known(hashes(arrived.rows)))
    return decide(known, arrived)


@dataclass(kw_only=True)
class Bench:
    """A stats on one log, one ledger file and topics of its own; it can crash and be restarted."""

    log: Log
    directory: Path
    topics: Topics
    reached: Failpoint = nothing
    swapped: Callable[[DuckdbLedger], Ledger] = lambda ledger: ledger
    commit_interval_s: float = 0.0
    ingest_within_s: float = DEADLINE_S
    billed: frozenset[Outcome] = BILLED
    shard: Shard = ALONE
    peers: tuple[str, ...] = ()
    clock: Clock = field(default_factory=SystemClock)
    seen_in_memory: int = 1 << 19
    seen_swapped: Callable[[HashFiles], Seen] = lambda seen: seen
    started: list[Service] = field(default_factory=list)

    def edge(self, name: str = "edge-1", file: str = "a") -> Edge:
        return Edge(topics=self.topics, name=name, file=file)

    def settings(self) -> Settings:
        return Settings(
            kafka="unused",
            host="127.0.0.1",
            port=0,
            token_file=self.directory / "token",
            ledger_file=self.directory / "usage.duckdb",
            edge_keys_file=self.directory / "edge-keys.json",
            api_keys_file=self.directory / "api-keys.json",
            commit_interval_s=self.commit_interval_s,
            ingest_within_s=self.ingest_within_s,
            billed=self.billed,
            seen_in_memory=self.seen_in_memory,
            shard=self.shard,
            peers=self.peers,
        )

    def write(self, *messages: Message) -> None:
        writer = self.log.writer()
        for one in messages:
            writer.send(one)
        assert writer.flush(DEADLINE_S) == 0
        writer.close()

    def specify(self, app: str, version: int, *facts: AppFact) -> None:
        """As deploy does; the topic is made with the first spec."""
        self.log.create(settings_of(self.topics.apps))
        said = written(
            self.topics.apps,
            event_id=f"{app}/{version}",
            by=command(key=app, command_id=f"{app}/{version}", payload=b""),
            version=version,
            engine="deploy/0.1.0",
            facts=facts,
            at=NOON,
        )
        self.write(said)

    def start(self) -> Service:
        service = compose(
            self.settings(),
            log=self.log,
            topics=self.topics,
            clock=self.clock,
            reached=self.reached,
            swapped=self.swapped,
            seen_swapped=self.seen_swapped,
        )
        self.started.append(service)
        return service

    def stop(self) -> None:
        while self.started:
            self.started.pop().ledger.close()

    def caught_up(self) -> Service:
        """A stats that has read everything; what made its consumer crash is raised here."""
        self.stop()
        service = self.start()
        with running(service) as raised:
            within(DEADLINE_S, lambda: raised or self._read_all(service))
        if raised:
            raise raised[0]
        return service

    def dead(self, topic: Topic) -> list[Record]:
        return records(self.log, topic.dead_letters("stats"))

    def _read_all(self, service: Service) -> bool:
        names = (self.topics.requests.name, self.topics.edges.name)
        partitions = [
            one
            for name in names
            for one in self.log.partitions(name)
            if self.shard.owns(one.number)
        ]
        ends = self.log.ends(partitions)
        held = service.ledger.positions()
        return all(held.get(one, 0) == end for one, end in ends.items())


def records(log: Log, topic: str) -> list[Record]:
    """Everything in a topic."""
    partitions = log.partitions(topic)
    ends = log.ends(partitions)
    reader = log.reader(dict.fromkeys(partitions, BEGINNING))
    found: list[Record] = []

    def all_read() -> bool:
        found.extend(reader.poll(most=1000, timeout_s=0.1))
        at = reader.positions()  # past the end where somebody still writes
        return all(at[place] >= end for place, end in ends.items())

    within(DEADLINE_S, all_read)
    reader.close()
    return found


def topics_of(prefix: str) -> Topics:
    requests = replace(REQUESTS, name=f"{prefix}.requests.v1", partitions=3)
    edges = replace(EDGES, name=f"{prefix}.edges.v1", partitions=3)
    return Topics(
        requests=requests,
        edges=edges,
        refused=(requests, edges),
        load=replace(LOAD, name=f"{prefix}.load.v1", partitions=3),
        usage=replace(USAGE, name=f"{prefix}.usage.v1", partitions=3),
        apps=replace(APPS, name=f"{prefix}.apps.v1", partitions=3),
        audit=replace(AUDIT, name=f"{prefix}.audit.v1", partitions=3),
        billing=replace(BILLING, name=f"{prefix}.billing.v1", partitions=3),
    )


def made(log: Log, directory: Path) -> Bench:
    topics = topics_of(f"test-{uuid.uuid4().hex[:8]}")
    log.create(
        setting
        for topic in (topics.requests, topics.edges, topics.load, topics.usage, topics.audit)
        for setting in settings_of(topic)
    )
    directory.mkdir(parents=True, exist_ok=True)
    secrets = {
        "token": "secret",
        "edge-keys.json": json.dumps({"edge-1": KEY.hex()}),
        "api-keys.json": json.dumps(
            {"acmes-key": "acme", "globex-key": {"customer": "globex", "name": "ci"}}
        ),
    }
    for name, content in secrets.items():
        (directory / name).write_text(content)
        (directory / name).chmod(0o600)
    return Bench(log=log, directory=directory, topics=topics)


@contextmanager
def running(service: Service) -> Iterator[list[BaseException]]:
    """The service's loops in threads of their own; what made one of them end is in the list."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def run(loop: Loop) -> None:
        try:
            loop.run(stop)
        except BaseException as error:  # noqa: BLE001  the test's own thread raises it again
            raised.append(error)

    loops: tuple[Loop, ...] = (
        *(service.consumer, service.facts, service.sending),
        *(service.apps, service.auditing, service.ingest),
    )
    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield raised
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def bench(tmp_path: Path) -> Iterable[Bench]:
    bench = made(MemoryLog(), tmp_path)
    yield bench
    bench.stop()


@pytest.fixture
def benches(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bench]:
    """A fresh bench for each example of a property."""
    return lambda: made(MemoryLog(), tmp_path_factory.mktemp("bench"))


@pytest.fixture
def way() -> Iterator["Ways"]:
    """The way in over HTTP, on a log of its own."""
    from .posting import ways  # noqa: PLC0415  it stands on this module

    with ways(MemoryLog()) as found:
        yield found
