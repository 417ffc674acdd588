"""A ledger whose log does not hold what follows: it says so, and goes on where somebody accepts it.

The log has let go of records while stats was away for too long, or its topic was made anew, or has
more partitions than it had.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from midstage.eventlog.log import Log, Partition
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.stats.views.shards import Shard
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .conftest import DEADLINE_S, Bench, made, running
from .test_counting import counted, holes

Forget = Callable[[Partition, int], None]
"""Holds only records from an offset on, as retention does."""


def memory(_: pytest.FixtureRequest) -> tuple[Log, Forget]:
    log = MemoryLog()
    return log, log.forget


def kafka(request: pytest.FixtureRequest) -> tuple[Log, Forget]:
    bootstrap = request.getfixturevalue("kafka")

    def forget(place: Partition, before: int) -> None:
        gone = TopicPartition(place.topic, place.number, before)
        admin = AdminClient({"bootstrap.servers": bootstrap})  # without it no answer would come
        admin.delete_records([gone])[gone].result(timeout=DEADLINE_S)

    return kafka_log(bootstrap), forget


def fresh(log: Log, folders: pytest.TempPathFactory) -> Bench:
    return made(log, folders.mktemp("bench"))


def refusal(bench: Bench) -> str:
    """Why it does not begin to count."""
    bench.stop()
    service = bench.start()

    def said() -> str:
        why = service.consumer.progress() or ""
        return why if "the log does not hold" in why or "partitions instead" in why else ""

    with running(service):
        return within(DEADLINE_S, said)


@pytest.mark.slow
@pytest.mark.parametrize("of", [memory, pytest.param(kafka, marks=pytest.mark.platform)])
def test_records_that_the_log_let_go_of_are_never_skipped_in_silence(
    of: Callable[[pytest.FixtureRequest], tuple[Log, Forget]],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    log, forget = of(request)
    bench = fresh(log, tmp_path_factory)
    edge = bench.edge()
    bench.write(edge.line(1), edge.line(2))
    assert counted(bench)[0] == 2
    bench.write(edge.line(3), edge.line(4), edge.line(5))
    ends = log.ends(log.partitions(bench.topics.requests.name))
    (place,) = (place for place, end in ends.items() if end)
    forget(place, 4)
    said = refusal(bench)
    assert f"{place.topic}[{place.number}] was read up to 2 and holds 4 to 5" in said
    assert "MIDSTAGE_STATS_ACCEPT_LOST=true" in said
    bench.accept_lost = True
    assert counted(bench)[0] == 3
    assert holes(bench) == {edge.source: ((3, 4),)}
    bench.accept_lost = False  # it was for one start: the position is in the ledger now
    bench.write(edge.line(6))
    assert counted(bench)[0] == 4


@pytest.mark.slow
def test_a_topic_that_was_made_anew_is_read_from_its_beginning_and_counts_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before = fresh(MemoryLog(), tmp_path_factory)
    edge = before.edge()
    before.write(edge.line(1), edge.line(2), edge.line(None, app="jobs"))
    assert counted(before)[0] == 3
    before.stop()
    anew = replace(before, log=MemoryLog())
    for topic in (anew.topics.requests, anew.topics.edges, anew.topics.load, anew.topics.usage):
        anew.log.create(settings_of(topic))
    anew.log.create(settings_of(anew.topics.audit))
    anew.write(edge.line(2), edge.line(3))
    assert "was read up to 3 and holds 0 to 2" in refusal(anew)
    anew.accept_lost = True
    assert counted(anew)[0] == 4


@pytest.mark.slow
def test_several_shards_do_not_count_a_topic_whose_sources_have_moved(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bench = fresh(MemoryLog(), tmp_path_factory)
    requests = bench.topics.requests
    bench.write(bench.edge().line(1))
    bench.topics = replace(bench.topics, requests=replace(requests, partitions=2))
    assert counted(bench)[0] == 1  # of one ledger it is no matter where a source is
    bench.stop()
    (bench.directory / "usage.duckdb").unlink()
    bench.shard, bench.peers = Shard(number=0, of=2), ("http://a", "http://b")
    assert f"topic {requests.name} has 3 partitions instead of 2" in refusal(bench)
