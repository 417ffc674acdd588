import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from midstage.local import kafka
from midstage.local.ports import LOOPBACK, found
from midstage.local.supervisor import Child, Supervisor

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[Supervisor, str]]:
    port, controller_port = found(2)
    bootstrap = f"{LOOPBACK}:{port}"
    said: list[str] = []
    supervisor = Supervisor(logs=tmp_path / "logs", say=said.append)
    command = kafka.prepare(tmp_path / "kafka", port=port, controller_port=controller_port)
    supervisor.start(Child(name="kafka", command=command, unready=lambda: kafka.unready(bootstrap)))
    try:
        supervisor.await_ready("kafka", within_s=120)
        yield supervisor, bootstrap
    finally:
        supervisor.close(within_s=5)


def test_what_was_acknowledged_outlives_kill_9_of_the_broker(
    broker: tuple[Supervisor, str],
) -> None:
    supervisor, bootstrap = broker
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result()
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    acknowledged: list[int] = []
    for n in range(5_000):
        producer.produce(
            "t", str(n), on_delivery=lambda e, m: acknowledged.append(int(m.value() or b""))
        )
    assert producer.flush(60) == 0
    supervisor.kill("kafka", signal.SIGKILL)
    supervisor.await_ready("kafka", within_s=120)
    assert supervisor.life("kafka").restarts == 1
    assert len(acknowledged) == 5_000
    assert read(bootstrap, len(acknowledged)) == acknowledged


def read(bootstrap: str, count: int) -> list[int]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g"})
    consumer.assign([TopicPartition("t", 0, 0)])
    try:
        return [int(m.value() or b"") for m in consumer.consume(count, timeout=60)]
    finally:
        consumer.close()


def test_an_identity_that_looks_like_an_option_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" * 16))
    port, controller_port = found(2)
    kafka.prepare(tmp_path, port=port, controller_port=controller_port)
    assert "cluster.id=-" in (tmp_path / "data" / "meta.properties").read_text()


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_any_folder_holds_the_data_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    port, controller_port = found(2)
    at = tmp_path / "with blank ü 漢 😀 and \\ back"
    kafka.prepare(at, port=port, controller_port=controller_port)
    assert (at / "data" / "meta.properties").exists()
