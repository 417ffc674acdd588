"""The real process on a real Kafka: killed with -9 at named places, restarted, and exact."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest

from midstage.contracts.errors import RefusedError
from midstage.eventlog.log import Message
from midstage.eventlog.topics import settings_of
from midstage.stats.main import Topics
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests.kafka import kafka_log
from tests.ports import free_port

from .conftest import KEY, Edge

pytestmark = [pytest.mark.platform, pytest.mark.slow]

DEADLINE_S = 120.0
TOPICS = Topics()


@dataclass
class Running:
    """One stats process after another on one ledger file."""

    directory: Path
    kafka: str
    edge: str
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "MIDSTAGE_STATS_KAFKA": self.kafka,
            "MIDSTAGE_STATS_PORT": str(self.port),
            "MIDSTAGE_STATS_TOKEN_FILE": str(self.directory / "token"),
            "MIDSTAGE_STATS_LEDGER_FILE": str(self.directory / "usage.duckdb"),
            "MIDSTAGE_STATS_EDGE_KEYS_FILE": str(self.directory / "keys.json"),
            "MIDSTAGE_STATS_COMMIT_INTERVAL_MS": "20",
            "MIDSTAGE_STATS_INGEST_TIMEOUT_MS": "50000",
            **self.more,
        }

    @contextmanager
    def process(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env=self.env, stderr=subprocess.PIPE, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def source(self) -> Mapping[str, object] | None:
        """What stats says of our edge's source, None while it does not answer."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/sources", headers={"authorization": "Bearer secret"}
        )
        with suppress(OSError), urllib.request.urlopen(asked) as answer:
            found: list[Mapping[str, object]] = json.load(answer)["sources"]
            return next((source for source in found if source["edge"] == self.edge), None)
        return None

    def answers(self) -> bool:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz") as got,
        ):
            return int(got.status) == 200
        return False

    def rows(self) -> int:
        source = self.source()
        return int(str(source["rows"])) if source else 0


@pytest.fixture
def stats(tmp_path: Path, kafka: str) -> Running:
    edge = f"edge-{uuid.uuid4().hex[:8]}"
    for name, content in {"token": "secret", "keys.json": json.dumps({edge: KEY.hex()})}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    log = kafka_log(kafka)
    topics = (TOPICS.requests, TOPICS.edges, TOPICS.load)
    with suppress(RefusedError):
        log.create(setting for topic in topics for setting in settings_of(topic))
    return Running(directory=tmp_path, kafka=kafka, edge=edge)


@pytest.mark.parametrize(
    "place", ["consume:decoded", "ledger:inserted", "ledger:committed", "consume:effect-done"]
)
def test_killed_at_a_named_place_and_restarted_it_counts_each_line_once(
    stats: Running, place: str
) -> None:
    edge = Edge(topics=TOPICS, name=stats.edge)
    order = stats.directory / "order"
    ordered(order, place, nth=2)
    killing = ("midstage.testkit.kill", "--order", str(order))
    send(stats.kafka, [edge.line(seq) for seq in range(1, 51)])
    more = cycle(range(51, 101))
    with stats.process(*killing, "midstage.stats.main") as process:

        def ended() -> bool:
            send(stats.kafka, [edge.line(next(more))])  # a chunk of its own, once it reads
            return process.poll() is not None

        within(DEADLINE_S, ended)
        assert process.returncode == -9
        assert not order.exists()
    send(stats.kafka, [edge.line(seq) for seq in range(1, 201)])
    with stats.process(*killing, "midstage.stats.main"):
        within(DEADLINE_S, lambda: stats.rows() == 200)
    with stats.process("midstage.stats.main") as process:
        within(DEADLINE_S, lambda: stats.rows() == 200)
        source = stats.source()
        assert source is not None
        assert source["holes"] == []
        process.terminate()
        assert process.wait(DEADLINE_S) == 0, process.stderr and process.stderr.read()


def test_a_second_process_on_the_same_ledger_is_refused_in_one_sentence(stats: Running) -> None:
    send(stats.kafka, [Edge(topics=TOPICS, name=stats.edge).line(1)])
    with stats.process("midstage.stats.main") as first:
        within(DEADLINE_S, lambda: stats.rows() == 1)
        with stats.process("midstage.stats.main") as second:
            assert second.stderr is not None
            assert second.wait(DEADLINE_S) == 1
            assert f"held by another process (pid {first.pid})" in second.stderr.read()
        assert stats.rows() == 1


def test_a_stopped_owner_is_killed_before_its_ledger_is_taken_over(stats: Running) -> None:
    """It still holds the file; when it is woken it must not go on beside its successor."""
    with stats.process("midstage.stats.main") as first:
        within(DEADLINE_S, stats.answers)
        first.send_signal(signal.SIGSTOP)
        stats.port = free_port()
        stats.more["MIDSTAGE_STATS_TAKE_OVER"] = "true"
        with stats.process("midstage.stats.main"):
            within(DEADLINE_S, stats.answers)
            assert first.wait(DEADLINE_S) == -signal.SIGKILL


def send(kafka: str, messages: Iterable[Message]) -> None:
    writer = kafka_log(kafka).writer()
    for one in messages:
        writer.send(one)
    assert writer.flush(DEADLINE_S) == 0
    writer.close()
