"""Three shards tell together what one stats tells alone: load, usage and late events."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from midstage.chassis.settings import SettingError
from midstage.contracts import load, sketch, usage
from midstage.contracts.load import LoadObserved
from midstage.contracts.topics import Topic
from midstage.contracts.usage import UsageMinuteEnded, UsageObserved
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Log
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.stats.config import from_env
from midstage.stats.views.shards import Shard
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .conftest import NOON, Bench, made, records, running
from .test_outbox import Settable

SHARDS = 3
SOURCES = [f"file-{number}" for number in range(12)]
DEADLINE_S = 120.0
SECOND = timedelta(seconds=1)
BASIC = {
    "MIDSTAGE_STATS_KAFKA": "k",
    "MIDSTAGE_STATS_PORT": "1",
    "MIDSTAGE_STATS_TOKEN_FILE": "t",
    "MIDSTAGE_STATS_LEDGER_FILE": "l",
    "MIDSTAGE_STATS_EDGE_KEYS_FILE": "e",
}


def memory(_: pytest.FixtureRequest) -> Log:
    return MemoryLog()


def kafka(request: pytest.FixtureRequest) -> Log:
    return kafka_log(request.getfixturevalue("kafka"))


def told(log: Log, topic: Topic) -> list[object]:
    decoder = Decoder(topic)
    return [decoder(record).data for record in records(log, topic.name)]


def second(log: Log, topic: Topic) -> LoadObserved | None:
    facts = [fact for fact in told(log, topic) if isinstance(fact, LoadObserved)]
    return load.folded([fact for fact in facts if fact.second == NOON])


def minute(log: Log, topic: Topic, customer: str) -> UsageObserved | None:
    facts = told(log, topic)
    return usage.folded(
        [f for f in facts if isinstance(f, UsageObserved) and f.customer == customer],
        [f for f in facts if isinstance(f, UsageMinuteEnded) and f.minute == NOON],
    )


Told = LoadObserved | UsageObserved | None


def known(fact: Told) -> object:
    """What does not hang on when it was written."""
    match fact:
        case LoadObserved():
            sketches = (sketch.unpacked(fact.latency_ms), sketch.unpacked(fact.ttft_ms))
            return (fact.revision, fact.outcomes, fact.units, *sketches)
        case UsageObserved():
            return (fact.revision, fact.apps)
        case None:
            return None


def side_by_side(log: Log, directory: Path, clock: Settable) -> tuple[Bench, list[Bench]]:
    """One stats alone and three shards, which read the same and write apart."""
    alone = made(log, directory / "alone")
    alone.clock = clock
    apart = replace(
        alone.topics,
        load=replace(alone.topics.load, name=f"{alone.topics.load.name}-shards"),
        usage=replace(alone.topics.usage, name=f"{alone.topics.usage.name}-shards"),
    )
    log.create([made for topic in (apart.load, apart.usage) for made in settings_of(topic)])
    shards = []
    for number in range(SHARDS):
        shard = made(log, directory / str(number))
        shard.topics, shard.clock, shard.shard = apart, clock, Shard(number=number, of=SHARDS)
        shards.append(shard)
    return alone, shards


@pytest.mark.slow
@pytest.mark.parametrize("of", [memory, pytest.param(kafka, marks=pytest.mark.platform)])
def test_three_shards_tell_together_what_one_tells_alone(
    of: Callable[[pytest.FixtureRequest], Log], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    log, clock = of(request), Settable(NOON + 1.2 * SECOND)
    alone, shards = side_by_side(log, tmp_path, clock)
    edges = [alone.edge(file=name) for name in SOURCES]
    for number, edge in enumerate(edges):
        customer = "acme" if number else "globex"  # who is in one shard alone
        alone.write(edge.line(1, customer=customer, duration_ms=10.0 * number))

    def agree(at: datetime, rows: int) -> None:
        clock.at = at

        def same() -> bool:
            one, many = second(log, alone.topics.load), second(log, shards[0].topics.load)
            pairs: list[tuple[Told, Told]] = [(one, many)]
            if at > NOON + 60 * SECOND:
                pairs += [
                    (
                        minute(log, alone.topics.usage, customer),
                        minute(log, shards[0].topics.usage, customer),
                    )
                    for customer in ("acme", "globex")
                ]
            if one is None or one.revision != rows:
                return False
            return all(left and known(left) == known(right) for left, right in pairs)

        within(DEADLINE_S, same, every=0.2)

    with contextlib.ExitStack() as lives:
        raised = [lives.enter_context(running(bench.start())) for bench in (alone, *shards)]
        agree(NOON + 2 * SECOND, rows=12)
        alone.write(*(edge.line(2) for edge in edges[:5]))
        agree(NOON + 40 * SECOND, rows=17)
        agree(NOON + 63 * SECOND, rows=17)
        assert [each for each in raised if each] == []
    for bench in (alone, *shards):
        bench.stop()


def test_each_partition_belongs_to_one_shard() -> None:
    shards = [Shard(number=number, of=SHARDS) for number in range(SHARDS)]
    for partition in range(12):
        assert sum(shard.owns(partition) for shard in shards) == 1


@pytest.mark.parametrize(
    ("told_so", "sentence"),
    [
        ({"SHARD": "3", "SHARDS": "3"}, "SHARD"),
        ({"SHARDS": "13"}, "SHARDS"),
        ({"SHARDS": "2"}, "names 0 urls, but there are 2 shards"),
        ({"SHARDS": "2", "PEERS": "http://a"}, "names 1 urls"),
        ({"SHARDS": "2", "PEERS": "http://a,b:1"}, "'b:1', which is no http url"),
    ],
)
def test_shards_that_can_not_be_are_named(told_so: dict[str, str], sentence: str) -> None:
    named = {f"MIDSTAGE_STATS_{name}": value for name, value in told_so.items()}
    with pytest.raises(SettingError, match=sentence):
        from_env({**BASIC, **named})


def test_the_shards_of_the_settings() -> None:
    urls = {"MIDSTAGE_STATS_PEERS": "http://a:1/, http://b:2", "MIDSTAGE_STATS_SHARDS": "2"}
    found = from_env({**BASIC, **urls, "MIDSTAGE_STATS_SHARD": "1"})
    assert (found.shard, found.peers) == (Shard(number=1, of=2), ("http://a:1", "http://b:2"))
    assert from_env(BASIC).shard == Shard(number=0, of=1)
