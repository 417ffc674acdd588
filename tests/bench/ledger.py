"""The race of counting: all of stats beside the bare client that does as little as can be.

The figures of stats are in ``counting``; here are the contestants and the topics they share.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from midstage.contracts.topics import EDGES, LOAD, REQUESTS, Topic
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.stats.main import Topics
from tests.bench import bare
from tests.bench.counting import counted
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import messages, removed, write

GROUP = "stats"
COUNT = Measure(name="count into the ledger", unit="events/s")
BYTES, FOLDED, OURS = "bare confluent-kafka, bytes only", "bare confluent-kafka", "midstage stats"


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Consume the same events with nothing, with the least, and with everything."""
    count = size.ledger_events
    topics = Topics(requests=_own(REQUESTS), edges=_own(EDGES), load=_own(LOAD))
    standing = [
        *settings_of(topics.requests),
        *settings_of(topics.edges),
        *settings_of(topics.load),
    ]
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(standing)
    name = topics.requests.name
    say(f"{GROUP}: writing {count:,} events to count")
    write(bootstrap, messages(name, count))
    runs: Mapping[str, Callable[[], float]] = {
        FOLDED: partial(bare.folded, bootstrap, name, count),
        BYTES: partial(bare.consumed, bootstrap, name, count),
        OURS: partial(counted, bootstrap, topics, count, directory),
    }
    taken = interleaved(
        [Contestant(name=each, run=_named(run)) for each, run in runs.items()],
        group=GROUP,
        rounds=size.rounds,
    )
    removed(bootstrap, *(topic.name for topic in standing))
    counts = dict.fromkeys(runs, f"{count:,} events")
    return figures(group=GROUP, measures=[COUNT], taken=taken, peers=(FOLDED, BYTES), counts=counts)


def _own(topic: Topic) -> Topic:
    return replace(topic, name=f"bench.{topic.name}.{uuid.uuid4().hex[:8]}")


def _named(run: Callable[[], float]) -> Callable[[], Mapping[str, float]]:
    return lambda: {COUNT.name: run()}
