"""What only a real Kafka can show: versioned logs on it, being away, and the fatal error."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from confluent_kafka import KafkaError, Producer

from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.topics import Topic
from midstage.eventlog.consume import Chunk, Consumer
from midstage.eventlog.dead_letters import DeadLetterTopic
from midstage.eventlog.kafka import FatalClientError, KafkaLog
from midstage.eventlog.kafka.errors import meant
from midstage.eventlog.kafka.reader import UNREADABLE_HEADERS
from midstage.eventlog.log import BEGINNING, Message, Partition, Record, Undelivered
from midstage.eventlog.memory import MemoryPositions
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.snapshots import Snapshot, Snapshots, code_of
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .accounts import (
    ACCOUNTS,
    Account,
    Credited,
    Fact,
    View,
    credit,
    evolve,
    put,
    record,
    records_in,
    replicas,
)
from .running import running


@pytest.fixture
def topic() -> Topic:
    return replace(ACCOUNTS, name=f"{ACCOUNTS.name}.{uuid.uuid4().hex[:8]}")


@pytest.fixture
def log(kafka: str, topic: Topic) -> KafkaLog:
    made = kafka_log(kafka)
    made.create(settings_of(topic))
    return made


@pytest.mark.platform
def test_replicas_on_kafka_agree_and_each_command_counts_once(log: KafkaLog, topic: Topic) -> None:
    with replicas(log, 2, topic=topic) as views, ThreadPoolExecutor(8) as pool:

        def run(number: int) -> int:
            view = views[number % 2]
            answer = view.execute(
                key=f"k{number % 3}", command_id=f"c{number}", payload=b"", decide=credit(1)
            )
            return answer.version

        versions = list(pool.map(run, range(30)))
        assert sorted(versions) == sorted([*range(1, 11)] * 3)
        for view in views:
            within(60, partial(adds_up, view, 30))
        put(log, record("k0", 3, Credited(amount=99), topic=topic))
        again = views[0].execute(key="k1", command_id="c1", payload=b"", decide=credit(1))
        assert again.repeated
    assert records_in(log, topic) >= 31


@pytest.mark.platform
def test_a_restart_on_kafka_starts_from_its_snapshot(log: KafkaLog, topic: Topic) -> None:
    def snapshots() -> Snapshots[Account, Fact]:
        return Snapshots(log=log, topic=topic, state=Account, code=code_of(evolve), every=5)

    def found() -> Snapshot[Account, Fact] | None:
        places = log.partitions(topic.name)
        return snapshots().newest(oldest=dict.fromkeys(places, 0), ends=log.ends(places))

    def gone_on() -> Snapshot[Account, Fact] | None:
        """One that a busy broker did not take in time is not written again: the next one is."""
        number = view.state("alice")[0]
        view.execute(key="alice", command_id=f"c{number}", payload=b"", decide=credit(1))
        return found()

    with replicas(log, topic=topic, snapshots=snapshots()) as [view]:
        within(60, gone_on)
        count = view.state("alice")[0]
    saved = found()
    assert saved is not None
    # after five or more: a busy reader may fold some at once before it looks how many they are
    assert 5 <= sum(saved.starts.values()) <= count
    with replicas(log, topic=topic, snapshots=snapshots()) as [later]:
        assert later.state("alice") == (count, Account(balance=count, turns=count))


@pytest.mark.platform
def test_a_transactions_mark_is_neither_lag_nor_a_reason_to_wait(
    kafka: str, log: KafkaLog, topic: Topic
) -> None:
    """Flink and Kafka Streams write so: behind their records stands a mark that is no record."""
    in_a_transaction(kafka, record("alice", 1, Credited(amount=5), topic=topic))
    reader = log.reader(dict.fromkeys(log.partitions(topic.name), BEGINNING))
    within(60, lambda: not reader.poll(most=10, timeout_s=0.1) and not any(reader.lag().values()))
    reader.close()
    with replicas(log, topic=topic) as [view]:
        answer = view.execute(key="alice", command_id="c1", payload=b"", decide=credit(1))
        assert answer.version == 2


@pytest.mark.platform
def test_each_chunk_begins_where_the_last_one_ended_also_behind_a_transaction(
    kafka: str, log: KafkaLog, topic: Topic
) -> None:
    """A ledger refuses a chunk that does not follow upon the one before."""
    chunks: list[Chunk[bytes | None]] = []
    loop = Consumer(
        name="test",
        log=log,
        read=lambda record: record.value,
        effect=chunks.append,
        positions=MemoryPositions(log.partitions(topic.name)),
        dead_letters=DeadLetterTopic(log=log, reader="test"),
    )
    with running(loop):
        for number in range(1, 4):
            in_a_transaction(kafka, record("alice", number, Credited(amount=1), topic=topic))
            within(60, lambda: len(chunks) == number and loop.lag() == 0)  # noqa: B023  asked now
    [place] = {place for chunk in chunks for place in chunk.ends}
    ends = [chunk.ends[place] for chunk in chunks]
    assert [chunk.begins[place] for chunk in chunks] == [0, *ends[:-1]]


def in_a_transaction(kafka: str, *messages: Message) -> None:
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(120)
    producer.begin_transaction()
    for each in messages:
        headers: list[tuple[str, str | bytes | None]] = list(each.headers)
        producer.produce(
            each.topic, key=each.key, value=each.value, headers=headers, partition=place_of(each)
        )
    producer.commit_transaction(120)


def place_of(message: Message) -> int:
    return partition_of(message.key or b"", ACCOUNTS.partitions)


FOREIGN = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Latin(str):
    def encode(self, *_):
        return b"\\xe9"

async def main(kafka, topic):
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for _ in range(100):
            await producer.send(topic, b"usual", headers=[("e", b"v")], partition=0)
        await producer.send_and_wait(topic, b"odd", headers=[(Latin("e"), b"v")], partition=0)
        await producer.send_and_wait(topic, b"next", headers=[("e", b"v")], partition=0)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.platform
def test_headers_that_are_not_utf_8_stop_no_reader(kafka: str, log: KafkaLog, topic: Topic) -> None:
    """After many usual records: only a call that is hot trusts what the client returns."""
    subprocess.run(
        [sys.executable, "-c", FOREIGN, kafka, topic.name],
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        check=True,
    )
    reader = log.reader({Partition(topic=topic.name, number=0): 0})
    records: list[Record] = []

    def all_read() -> bool:
        records.extend(reader.poll(most=10, timeout_s=0.1))
        return len(records) == 102

    within(60, all_read)
    reader.close()
    assert [each.value for each in records[-2:]] == [b"odd", b"next"]
    assert [dict(each.headers) for each in records[-2:]] == [dict(UNREADABLE_HEADERS), {"e": b"v"}]


@pytest.mark.platform
def test_a_header_without_a_value_is_empty(kafka: str, log: KafkaLog, topic: Topic) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic.name, b"v", partition=0, headers=[("a", b"1"), ("none", None)])
    assert producer.flush(60) == 0
    reader = log.reader({Partition(topic=topic.name, number=0): 0})
    records: list[Record] = []

    def read() -> bool:
        records.extend(reader.poll(most=10, timeout_s=0.1))
        return bool(records)

    within(60, read)
    reader.close()
    assert records[0].headers == (("a", b"1"), ("none", b""))


def adds_up(view: View, balance: int) -> bool:
    return sum(account.balance for account in view.states().values()) == balance


@pytest.fixture
def nowhere() -> Iterator[KafkaLog]:
    """A log whose broker does not listen; its port is held, so nobody else will listen there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        yield KafkaLog(
            bootstrap=f"127.0.0.1:{port}", client_id="test", ask_within_s=0.5, close_within_s=0.2
        )


@pytest.mark.slow
def test_questions_to_a_broker_that_is_away_are_unavailable(nowhere: KafkaLog) -> None:
    place = Partition(topic="t", number=0)
    for question in (
        lambda: nowhere.partitions("t"),
        lambda: nowhere.ends([place]),
        lambda: nowhere.reader({place: 0}),
        lambda: nowhere.create(settings_of(ACCOUNTS)),
    ):
        with pytest.raises(UnavailableError):
            question()


@pytest.mark.slow
def test_messages_wait_for_a_broker_that_is_away_and_closing_says_what_is_left(
    nowhere: KafkaLog,
) -> None:
    heard: list[object] = []
    writer = nowhere.writer()
    for number in range(3):
        writer.send(Message(topic="t", key=b"k", value=b"%d" % number), heard.append)
    assert writer.flush(0.2) == 3
    assert heard == []
    writer.close()
    assert [isinstance(each, Undelivered) and each.known for each in heard] == [True] * 3
    with pytest.raises(UnavailableError, match="closed"):
        writer.send(Message(topic="t", key=b"k", value=b"late"))


@pytest.mark.slow
def test_after_a_fatal_error_every_call_raises_what_ends_the_process(nowhere: KafkaLog) -> None:
    writer = nowhere.writer()
    writer.failed(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    with pytest.raises(FatalClientError, match="fenced"):
        writer.send(Message(topic="t", key=b"k", value=b"x"))
    with pytest.raises(FatalClientError, match="fenced"):
        writer.flush(0.0)
    with pytest.raises(FatalClientError, match="fenced"):
        writer.close()


def test_each_error_is_of_the_kind_that_says_what_to_do() -> None:
    too_large = meant(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), "sending")
    assert isinstance(too_large, RefusedError)
    assert too_large.status == 413
    assert isinstance(meant(KafkaError(KafkaError._TRANSPORT), "asking"), UnavailableError)
    fatal = meant(KafkaError(KafkaError._FATAL, "gone", fatal=True), "sending")
    assert isinstance(fatal, FatalClientError)
    assert not isinstance(fatal, UnavailableError)
