"""``midstage send log`` into a real Kafka, and into the fake where Kafka must fail."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from midstage.client.send import deliver
from midstage.contracts.errors import UnavailableError
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import REQUESTS
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import BEGINNING, Log, Message, Record, TopicSettings
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

Midstage = Callable[..., CompletedProcess[str]]
GOOD = {"app": "ocr", "customer": "acme", "status": 200, "outcome": "ok", "duration_ms": 1}


def lines(*documents: object) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def topic_on(log: Log) -> str:
    name = f"test.{uuid.uuid4().hex}"
    settings = TopicSettings(
        name=name, partitions=3, retention_ms=3_600_000, message_bytes=4 * 1024 * 1024
    )
    log.create([settings])
    return name


def everything(log: Log, topic: str, wanted: int) -> Sequence[Record]:
    reader = log.reader(dict.fromkeys(log.partitions(topic), BEGINNING))
    found: list[Record] = []

    def there() -> bool:
        found.extend(reader.poll(most=100, timeout_s=0.1))
        return len(found) >= wanted

    try:
        within(60, there)
    finally:
        reader.close()
    return found


@pytest.mark.platform
@pytest.mark.slow
def test_events_of_a_file_arrive_and_are_acknowledged(
    midstage: Midstage, kafka: str, tmp_path: Path
) -> None:
    log = kafka_log(kafka)
    topic = topic_on(log)
    file = tmp_path / "events.jsonl"
    file.write_text(lines(GOOD, {**GOOD, "id": "mine", "source": "batch"}, {**GOOD, "app": "nlp"}))
    ended = midstage("send", "log", str(file), "--topic", topic, "--kafka", kafka)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"3 of 3 events acknowledged by {topic}\n"
    records = everything(log, topic, 3)
    events = [Decoder(REQUESTS)(record) for record in records]
    assert sorted(e.data.app for e in events if isinstance(e.data, RequestCompleted)) == [
        "nlp",
        "ocr",
        "ocr",
    ]
    assert ("mine", "batch") in {(event.id, event.source) for event in events}
    assert {record.key for record in records} == {event.source.encode() for event in events}


@pytest.mark.platform
@pytest.mark.slow
def test_nothing_is_sent_unless_every_line_is_an_event(midstage: Midstage, kafka: str) -> None:
    log = kafka_log(kafka)
    topic = topic_on(log)
    text = lines(GOOD, {**GOOD, "status": "x"}, GOOD) + "nonsense\n"
    where = ["--topic", topic, "--kafka", kafka]
    ended = midstage("send", "log", "-", *where, stdin=text)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "line 2: " in ended.stderr
    assert "status" in ended.stderr
    assert "line 4: not a JSON object" in ended.stderr
    assert "nothing was sent: 2 of 4 lines are refused" in ended.stderr
    assert set(log.ends(log.partitions(topic)).values()) == {0}

    skipped = midstage("send", "log", "-", "--skip-invalid", *where, stdin=text)
    assert skipped.returncode == 0
    assert skipped.stdout == f"2 of 2 events acknowledged by {topic}\n"
    assert "line 2: " in skipped.stderr
    assert len(everything(log, topic, 2)) == 2


@pytest.mark.platform
@pytest.mark.slow
def test_a_topic_that_is_not_there_is_named(midstage: Midstage, kafka: str) -> None:
    ended = midstage(
        "send", "log", "-", "--topic", "test.none", "--kafka", kafka, stdin=lines(GOOD)
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "test.none" in ended.stderr


def message(topic: str) -> Message:
    return Message(topic=topic, key=b"k", value=b"v")


def test_what_is_acknowledged_is_counted() -> None:
    log = MemoryLog()
    topic = topic_on(log)
    receipt = deliver(log, [message(topic)] * 3, topic=topic, within_s=60)
    assert (receipt.acknowledged, receipt.reasons) == (3, [])


def test_a_lost_acknowledgement_is_not_counted() -> None:
    log = MemoryLog()
    topic = topic_on(log)
    log.lose_next_acknowledgement()
    receipt = deliver(log, [message(topic)] * 3, topic=topic, within_s=60)
    assert (receipt.acknowledged, len(receipt.reasons)) == (2, 1)


def test_without_a_broker_nothing_is_sent() -> None:
    log = MemoryLog()
    topic = topic_on(log)
    log.cut()
    with pytest.raises(UnavailableError):
        deliver(log, [message(topic)], topic=topic, within_s=0)
    log.mend()
    assert set(log.ends(log.partitions(topic)).values()) == {0}


def test_nothing_to_send_asks_nobody() -> None:
    log = MemoryLog()
    log.cut()
    assert deliver(log, [], topic="any", within_s=0).acknowledged == 0


def test_what_the_kafka_client_says_to_itself_is_not_said_to_the_user() -> None:
    script = """
import logging, sys
from midstage.client.main import main
sys.argv = ["midstage", "--version"]
try:
    main()
except SystemExit:
    logging.getLogger("midstage.eventlog.kafka").error("coordinator load in progress: retrying")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
