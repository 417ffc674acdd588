"""A shipper on a log in memory, with log files that a test writes as Envoy would."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry

from midstage.chassis.clock import Clock, SystemClock
from midstage.contracts import signature
from midstage.contracts.edges import SourceBeat, SourceClosed, edge_of
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.topics import EDGES, REQUESTS
from midstage.eventlog.codec import Decoder
from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import BEGINNING, Log, Record
from midstage.eventlog.memory import MemoryLog
from midstage.gateway.adapters import logfiles
from midstage.gateway.config import Settings
from midstage.gateway.main import Topics, shipping
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import Endpoint
from midstage.gateway.model.shipping import Load
from midstage.gateway.stream.shipper import Shipper

EDGE = "edge-1"
KEY = bytes(range(32))
_NOWHERE = Endpoint(host="127.0.0.1", port=1)


F = TypeVar("F", SourceBeat, SourceClosed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Generic[F]):
    """What an edge said of a source."""

    source: str
    time: datetime
    data: F


@dataclass(slots=True)
class FakeEnvoy:
    """Envoy's admin address: answers while ``answers``; opens its log where it is told to."""

    log_dir: Path
    answers: bool = True
    carries: dict[str, Load] = field(
        default_factory=lambda: {
            "chat": Load(in_flight=3, pending=1),
            "midstage-throttle": Load(in_flight=9, pending=9),
        }
    )

    def loads(self) -> Mapping[str, Load]:
        self._ask()
        return dict(self.carries)

    def reopen_logs(self) -> None:
        self._ask()
        (self.log_dir / logfiles.CURRENT).touch()

    def _ask(self) -> None:
        if not self.answers:
            raise UnavailableError("Envoy is away")


@dataclass(slots=True)
class Yard:
    """One edge's directories, its log in memory, and the shippers that a test starts."""

    root: Path
    log: MemoryLog = field(default_factory=MemoryLog)
    rotate_bytes: int = 1_000_000
    envoy: FakeEnvoy = field(init=False)
    metrics: Metrics = field(init=False)
    lines_written: int = 0

    def __post_init__(self) -> None:
        self.envoy = FakeEnvoy(self.log_dir)
        self.log_dir.mkdir()
        keys = self.root / "edge-keys.json"
        keys.touch(mode=0o600)
        keys.write_text(json.dumps({EDGE: KEY.hex()}))

    @property
    def log_dir(self) -> Path:
        return self.root / "log"

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    def settings(self) -> Settings:
        return Settings(
            kafka="",
            host="127.0.0.1",
            port=0,
            token_file=self.root / "token",
            edge=EDGE,
            config_dir=self.root / "config",
            log_dir=self.log_dir,
            state_dir=self.state_dir,
            apps_file=self.root / "apps.json",
            api_keys_file=self.root / "api-keys.json",
            edge_keys_file=self.root / "edge-keys.json",
            listen=_NOWHERE,
            admin=_NOWHERE,
            throttle=_NOWHERE,
            rotate_bytes=self.rotate_bytes,
        )

    def shipper(self, *, reached: Failpoint = nothing, clock: Clock | None = None) -> Shipper:
        """A new process's shipper."""
        self.metrics = Metrics(CollectorRegistry())
        return shipping(
            self.settings(),
            log=self.log,
            envoy=self.envoy,
            clock=clock or SystemClock(),
            topics=Topics(),
            metrics=self.metrics,
            reached=reached,
        )

    def envoy_starts(self) -> str:
        """A new file, as the supervisor and Envoy begin it; its stem."""
        file = logfiles.begin(self.log_dir, datetime.now(UTC))
        file.touch()
        return file.stem

    def requests_end(self, count: int = 1) -> Sequence[str]:
        """Envoy writes lines into its newest file; the callers' own numbers of them."""
        refs = [f"r{self.lines_written + n}" for n in range(1, count + 1)]
        self.lines_written += count
        self.write(b"".join(line(ref) for ref in refs))
        return refs

    def write(self, text: bytes) -> None:
        with (self.log_dir / logfiles.CURRENT).open("ab") as file:
            file.write(text)

    def files(self) -> Sequence[str]:
        return sorted(f.stem for f in self.log_dir.iterdir() if not f.is_symlink())

    def records(self, topic: str) -> Sequence[Record]:
        return all_of(self.log, topic)

    def shipped(self) -> Mapping[tuple[str, int], Event[Fact]]:
        """What stats would count: one event for each number; all copies must be the same."""
        decoder = Decoder(REQUESTS)
        found: dict[tuple[str, int], Event[Fact]] = {}
        for record in self.records(REQUESTS.name):
            event = decoder(record)
            assert event.seq is not None
            assert found.setdefault((event.source, event.seq), event) == event
            assert is_genuine(record)
        return found

    def refs(self) -> Sequence[str]:
        """The callers' numbers in the order of sources and numbers."""
        shipped = self.shipped()
        return [getattr(shipped[place].data, "ref", "") for place in sorted(shipped)]

    def copies(self) -> int:
        """Records above one for each number."""
        return len(self.records(REQUESTS.name)) - len(self.shipped())

    def beats(self) -> Sequence[Said[SourceBeat]]:
        return [
            Said(source=event.source, time=event.time, data=event.data)
            for event in self._about()
            if isinstance(event.data, SourceBeat)
        ]

    def closings(self) -> Sequence[Said[SourceClosed]]:
        return [
            Said(source=event.source, time=event.time, data=event.data)
            for event in self._about()
            if isinstance(event.data, SourceClosed)
        ]

    def _about(self) -> Sequence[Event[Fact]]:
        records = self.records(EDGES.name)
        assert all(is_genuine(record) for record in records)
        return [Decoder(EDGES)(record) for record in records]


def all_of(log: Log, topic: str) -> Sequence[Record]:
    """Every record of a topic, partition by partition; none where it does not exist yet."""
    try:
        partitions = log.partitions(topic)
    except UnavailableError:
        return []
    left = sum(log.ends(partitions).values()) - sum(log.beginnings(partitions).values())
    reader = log.reader(dict.fromkeys(partitions, BEGINNING))
    records: list[Record] = []
    try:
        while len(records) < left:
            records += reader.poll(most=left - len(records), timeout_s=1.0)
    finally:
        reader.close()
    return sorted(records, key=lambda record: (record.partition.number, record.offset))


def is_genuine(record: Record) -> bool:
    assert record.key is not None
    assert record.value is not None
    source = record.key.decode()
    return signature.genuine(
        keys={EDGE: KEY},
        edge=edge_of(source),
        source=source,
        value=record.value,
        signature=dict(record.headers).get(signature.HEADER),
    )


def line(ref: str) -> bytes:
    """A line as Envoy writes it."""
    now = datetime.now(UTC).timestamp()
    fields = {
        "id": f"id-{ref}",
        "time": f"{now:.6f}",
        "started": f"{now - 0.1:.6f}",
        "app": "chat",
        "customer": "acme",
        "path": "/v1/x",
        "status": 200,
        "flags": "-",
        "details": "via_upstream",
        "ref": ref,
    }
    return json.dumps(fields).encode() + b"\n"
