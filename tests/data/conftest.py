"""What the stories of data are told with: an edge that signs, and a data on a log in memory."""

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from midstage.contracts.edges import source_of
from midstage.contracts.fact import Event
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import REQUESTS, Topic
from midstage.data.config import Settings
from midstage.data.main import Service, compose
from midstage.data.views.records import Filters, Order, Record, RecordsQuery
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import BEGINNING, Log, Message
from midstage.eventlog.log import Record as LogRecord
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON, FrozenClock
from midstage.testkit.waiting import within

KEY = bytes(range(32))
DEADLINE_S = 60.0
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


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

    topic: str
    name: str = "edge-1"
    file: str = "a"
    key: bytes = KEY

    @property
    def source(self) -> str:
        return source_of(self.name, self.file)

    def line(self, seq: int | None, **said: object) -> Message:
        event = request(self.source, seq, **said)  # type: ignore[arg-type]  # a test's own words
        return message(event, topic=self.topic, key=self.source, signing_key=self.key)


@dataclass(kw_only=True)
class Bench:
    """A data on one log, one directory and a topic of its own; it can crash and be restarted."""

    log: Log
    directory: Path
    topic: Topic
    clock: FrozenClock = field(default_factory=FrozenClock)
    reached: Failpoint = nothing
    changed: dict[str, object] = field(default_factory=dict)
    started: list[Service] = field(default_factory=list)

    def edge(self, name: str = "edge-1", file: str = "a") -> Edge:
        return Edge(topic=self.topic.name, name=name, file=file)

    def stray(self, name: str, **said: object) -> Message:
        """An event without a number, of a source that is no edge."""
        event = request("jobs", None, event_id=name, **said)  # type: ignore[arg-type]  # as above
        return message(event, topic=self.topic.name, key="jobs")

    def settings(self) -> Settings:
        plain = Settings(
            kafka="unused",
            host="127.0.0.1",
            port=0,
            token_file=self.directory / "token",
            directory=self.directory / "data",
            edge_keys_file=self.directory / "edge-keys.json",
            commit_interval_s=0.0,
        )
        return replace(plain, **self.changed)  # type: ignore[arg-type]  # a test's own words

    def write(self, *messages: Message) -> None:
        writer = self.log.writer()
        for one in messages:
            writer.send(one)
        assert writer.flush(DEADLINE_S) == 0
        writer.close()

    def start(self) -> Service:
        service = compose(
            self.settings(), log=self.log, topic=self.topic, clock=self.clock, reached=self.reached
        )
        self.started.append(service)
        return service

    def stop(self) -> None:
        while self.started:
            self.started.pop().store.close()

    def caught_up(self) -> Service:
        """A data that has read everything; what made its consumer crash is raised here."""
        self.stop()
        service = self.start()
        self.reads_on(service)
        return service

    def reads_on(self, service: Service) -> None:
        """Let the service read to the end of the log, and stop reading.

        Its progress comes last: what is committed already may still have a crash behind it.
        """
        with reading(service) as raised:
            within(DEADLINE_S, lambda: raised or self._read_all(service))
            within(DEADLINE_S, lambda: raised or service.consumer.progress() is None)
        if raised:
            raise raised[0]

    def dead(self) -> list[LogRecord]:
        return records(self.log, self.topic.dead_letters("data"))

    @property
    def folder(self) -> Path:
        return self.settings().directory / "records"

    def _read_all(self, service: Service) -> bool:
        ends = self.log.ends(self.log.partitions(self.topic.name))
        held = service.store.positions()
        return all(held.get(one, 0) == end for one, end in ends.items())


def found(
    service: Service, *, order: Order = Order.OLDEST, limit: int = 100_000, **wanted: object
) -> list[Record]:
    """The records that match, straight from the store."""
    filters = Filters(**wanted)  # type: ignore[arg-type]  # a test's own words
    query = RecordsQuery(filters=filters, order=order, limit=limit)
    return list(service.store.queries().page(query))[:limit]


def numbers(service: Service) -> list[int | None]:
    """The numbers of all records, in the records' order."""
    return [record.seq for record in found(service)]


def records(log: Log, topic: str) -> list[LogRecord]:
    """Everything in a topic."""
    partitions = log.partitions(topic)
    ends = log.ends(partitions)
    reader = log.reader(dict.fromkeys(partitions, BEGINNING))
    read: list[LogRecord] = []

    def all_read() -> bool:
        read.extend(reader.poll(most=1000, timeout_s=0.1))
        return reader.positions() == ends

    within(DEADLINE_S, all_read)
    reader.close()
    return read


def made(log: Log, directory: Path) -> Bench:
    topic = replace(REQUESTS, name=f"test-{uuid.uuid4().hex[:8]}.requests.v1", partitions=3)
    log.create(settings_of(topic))
    directory.mkdir(parents=True, exist_ok=True)
    secrets = {"token": "secret", "edge-keys.json": json.dumps({"edge-1": KEY.hex()})}
    for name, content in secrets.items():
        (directory / name).write_text(content)
        (directory / name).chmod(0o600)
    return Bench(log=log, directory=directory, topic=topic)


@contextmanager
def reading(service: Service) -> Iterator[list[BaseException]]:
    """The service's reader in a thread of its own; what made it end is in the list."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            service.consumer.run(stop)
        except BaseException as error:  # noqa: BLE001  the test's own thread raises it again
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield raised
    finally:
        stop.set()
        thread.join()


def client(service: Service) -> TestClient:
    """Someone with the token who asks the service."""
    return TestClient(service.app, headers={"authorization": "Bearer secret"})


@pytest.fixture
def bench(tmp_path: Path) -> Iterable[Bench]:
    bench = made(MemoryLog(), tmp_path)
    yield bench
    bench.stop()


@pytest.fixture
def benches(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bench]:
    """A fresh bench for each example of a property."""
    return lambda: made(MemoryLog(), tmp_path_factory.mktemp("bench"))
