"""The real process on a real Kafka: killed with -9 at named places, restarted, and exact."""

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from midstage.contracts.errors import RefusedError
from midstage.contracts.topics import REQUESTS
from midstage.eventlog.log import Message
from midstage.eventlog.topics import settings_of
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests.kafka import kafka_log
from tests.ports import free_port

from .conftest import KEY, Edge

pytestmark = [pytest.mark.platform, pytest.mark.slow]

DEADLINE_S = 180.0
"""A process starts, reads a topic that others use too, and closes an hour: on a busy machine."""
TOKEN = {"authorization": "Bearer secret"}
OVER = datetime.now(UTC) - timedelta(hours=3)


@dataclass
class Running:
    """One data process after another on one directory."""

    directory: Path
    kafka: str
    edge: str
    port: int = field(default_factory=free_port)

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "MIDSTAGE_DATA_KAFKA": self.kafka,
            "MIDSTAGE_DATA_PORT": str(self.port),
            "MIDSTAGE_DATA_TOKEN_FILE": str(self.directory / "token"),
            "MIDSTAGE_DATA_DIRECTORY": str(self.directory / "data"),
            "MIDSTAGE_DATA_EDGE_KEYS_FILE": str(self.directory / "keys.json"),
            "MIDSTAGE_DATA_COMMIT_INTERVAL_MS": "20",
            "MIDSTAGE_DATA_HOUR_GRACE_S": "1",
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

    def ask(self, path: str) -> Mapping[str, object] | None:
        """What data answers, None while it does not."""
        with (
            suppress(OSError),
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=TOKEN)
            ) as answer,
        ):
            found: Mapping[str, object] = json.load(answer)
            return found
        return None

    def kept(self) -> list[object]:
        """The numbers of our edge's records, in order."""
        answer = self.ask(f"/v1/records?limit=1000&customer={self.edge}")
        records = answer["records"] if answer else []
        assert isinstance(records, list)
        return [record["seq"] for record in records]

    def closed(self) -> bool:
        """Whether our edge's records are all in parts."""
        answer = self.ask("/v1/status")
        return answer is not None and answer["staged_rows"] == 0 and answer["parts"] != 0


@pytest.fixture
def data(tmp_path: Path, kafka: str) -> Running:
    edge = f"edge-{uuid.uuid4().hex[:8]}"
    for name, content in {"token": "secret", "keys.json": json.dumps({edge: KEY.hex()})}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    with suppress(RefusedError):
        log = kafka_log(kafka)
        log.create(settings_of(REQUESTS))
    return Running(directory=tmp_path, kafka=kafka, edge=edge)


def lines(data: Running, first: int, last: int) -> list[Message]:
    edge = Edge(topic=REQUESTS.name, name=data.edge)
    return [
        edge.line(seq, time=OVER + timedelta(seconds=seq), customer=data.edge)
        for seq in range(first, last + 1)
    ]


def send(kafka: str, messages: Sequence[Message]) -> None:
    writer = kafka_log(kafka).writer()
    for message in messages:
        writer.send(message)
    assert writer.flush(DEADLINE_S) == 0
    writer.close()


@pytest.mark.parametrize(
    "place",
    [
        "consume:decoded",
        "records:inserted",
        "records:committed",
        "part:written",
        "part:renamed",
        "part:unstaged",
        "part:committed",
    ],
)
def test_killed_at_a_named_place_and_restarted_it_has_each_record_once(
    data: Running, place: str
) -> None:
    order = data.directory / "order"
    ordered(order, place)
    killing = ("midstage.testkit.kill", "--order", str(order))
    send(data.kafka, lines(data, 1, 100))
    with data.process(*killing, "midstage.data.main") as process:
        assert process.wait(DEADLINE_S) == -9
        assert not order.exists()
    send(data.kafka, lines(data, 1, 200))
    with data.process(*killing, "midstage.data.main") as process:
        within(DEADLINE_S, lambda: data.kept() == [*range(1, 201)])
        within(DEADLINE_S, data.closed)
        assert data.kept() == [*range(1, 201)]
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
    with data.process("midstage.data.main"):
        within(DEADLINE_S, lambda: data.kept() == [*range(1, 201)])


def test_a_second_process_on_the_same_directory_is_refused_in_one_sentence(data: Running) -> None:
    send(data.kafka, lines(data, 1, 1))
    with data.process("midstage.data.main") as first:
        within(DEADLINE_S, lambda: data.kept() == [1])
        with data.process("midstage.data.main") as second:
            assert second.stderr is not None
            assert second.wait(DEADLINE_S) == 1
            assert f"held by another process (pid {first.pid})" in second.stderr.read()


def test_killed_while_a_download_is_made_it_is_made_anew_and_brought_by_the_command(
    data: Running,
) -> None:
    order, out = data.directory / "order", data.directory / "records.jsonl"
    killing = ("midstage.testkit.kill", "--order", str(order), "midstage.data.main")
    command = [
        *(sys.executable, "-m", "midstage.client.main", "download", "records"),
        *("--server", f"http://127.0.0.1:{data.port}", "--customer", data.edge),
        *("--token-file", str(data.directory / "token"), "--out", str(out)),
    ]
    send(data.kafka, lines(data, 1, 100))
    with data.process(*killing) as process:
        within(DEADLINE_S, lambda: data.kept() == [*range(1, 101)])
        ordered(order, "download:renamed")
        broken = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (broken.returncode, out.exists()) == (1, False), broken.stderr
        assert process.wait(DEADLINE_S) == -9
    with data.process(*killing):
        within(DEADLINE_S, lambda: data.kept() == [*range(1, 101)])
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    found = [json.loads(line)["seq"] for line in out.read_text().splitlines()]
    assert found == [*range(1, 101)]
    assert {path.name for path in data.directory.iterdir()} >= {"records.jsonl"}
    assert not out.with_name("records.jsonl.part").exists()
