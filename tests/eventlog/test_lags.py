"""How far a consumer group is behind: what can be known, and what a real Kafka says."""

import uuid

import pytest
from confluent_kafka import Consumer
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.errors import UnavailableError
from midstage.eventlog.kafka import GroupLags, GroupPositions
from midstage.eventlog.kafka.lags import lag_of
from midstage.eventlog.log import Message, Partition, TopicSettings
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

PLACE = Partition(topic="pages", number=0)


@pytest.mark.parametrize(
    ("committed", "beginning", "end", "lag"),
    [(3, 0, 10, 7), (10, 0, 10, 0), (3, 8, 10, 2), (0, 0, 0, 0), (-1, 0, 0, 0), (-1, 5, 5, 0)],
)
def test_no_more_waits_than_is_held(committed: int, beginning: int, end: int, lag: int) -> None:
    assert lag_of(PLACE, committed=committed, beginning=beginning, end=end).lag == lag


@pytest.mark.parametrize(("committed", "why"), [(-1, "is committed"), (11, "was made anew")])
def test_what_nobody_knows_is_not_zero(committed: int, why: str) -> None:
    with pytest.raises(UnavailableError, match=why):
        lag_of(PLACE, committed=committed, beginning=0, end=10)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_a_lag_is_within_what_is_held(committed: int, beginning: int, held: int) -> None:
    end = beginning + held
    if committed <= end:
        found = lag_of(PLACE, committed=committed, beginning=beginning, end=end)
        assert 0 <= found.lag <= held


@pytest.fixture
def topic(kafka: str) -> str:
    name = f"lags-{uuid.uuid4().hex[:10]}"
    log = kafka_log(kafka)
    log.create([TopicSettings(name=name, partitions=2, retention_ms=-1, message_bytes=1024 * 1024)])
    writer = log.writer()
    for number in range(30):
        message = Message(topic=name, key=None, value=b"x", partition=number % 3 % 2)
        writer.send(message)
    assert writer.flush(60) == 0
    writer.close()
    return name


def why_not(lags: GroupLags, group: str, topic: str) -> str:
    """Why the lag is not known; a broker that is new loads its groups first."""
    with pytest.raises(UnavailableError) as error:
        lags.of(group, [topic])
    return str(error.value)


@pytest.mark.platform
@pytest.mark.slow
def test_a_real_group(kafka: str, topic: str) -> None:
    """20 records stand in partition 0, 10 in partition 1."""
    group = f"group-{topic}"
    lags = GroupLags(bootstrap=kafka, client_id="test", within_s=60.0)
    within(60, lambda: "is committed, and it holds records" in why_not(lags, group, topic))
    with pytest.raises(UnavailableError, match="does not exist"):
        lags.of(group, ["nowhere-at-all"])
    places = [Partition(topic=topic, number=number) for number in (0, 1)]
    positions = GroupPositions(bootstrap=kafka, client_id="test", group=group, partitions=places)
    positions.moved({places[0]: 13, places[1]: 10})
    positions.close()
    found = lags.of(group, [topic, topic])
    assert [each.lag for each in found.partitions] == [7, 0]
    assert [(each.committed, each.end) for each in found.partitions] == [(13, 20), (10, 10)]
    assert (found.total, found.consumers) == (7, 0)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    consumer.subscribe([topic])
    try:
        within(60, lambda: consumer.poll(0.2) is None and lags.of(group, [topic]).consumers == 1)
    finally:
        consumer.close()
