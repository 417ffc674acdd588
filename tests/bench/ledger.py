"""The race of counting: all of stats beside peers that do as little as can be, on the same events.

The figures of stats are in ``counting``; here are the contestants and the topics they share. 1,000
customers on 8 applications, numbered and signed by the edge; once as JSON, once as Arrow batches.
"""

import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from midstage.contracts.fact import Event
from midstage.contracts.requests import RequestCompleted
from midstage.contracts.topics import EDGES, LOAD, REQUESTS, USAGE, Topic
from midstage.eventlog import arrow, codec
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.log import Message
from midstage.eventlog.topics import settings_of
from midstage.stats.main import Topics
from tests.bench import bare, faust_peer
from tests.bench.children import last_words, module, running
from tests.bench.counting import MEMORY, RATE, counted
from tests.bench.figures import Figure, Measure, figures
from tests.bench.payload import SIGNING_KEY, spread
from tests.bench.polars_pipeline import piped
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import removed, write

GROUP = "stats"
COUNT = Measure(name="count into the ledger", unit="events/s")
HELD = Measure(name="most memory held", unit="MiB", more_is_better=False)
OURS, BATCHED = "midstage stats", "midstage stats, Arrow batches"
BYTES, FOLDED = "bare confluent-kafka, bytes only", "bare confluent-kafka, a dict"
PIPED = "bare confluent-kafka, polars, DuckDB"
FAUST, FASTSTREAM = "faust-streaming, a table", "faststream on confluent-kafka, a dict"
_BATCH = 2_000


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Consume the same events with nothing, with the least, and with everything."""
    count, few = size.ledger_events, size.peer_events
    plain, batched = own_topics(), own_topics()
    standing = [
        settings
        for topics in (plain, batched)
        for topic in (topics.requests, topics.edges, topics.load, topics.usage)
        for settings in settings_of(topic)
    ]
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(standing)
    name = plain.requests.name
    say(f"{GROUP}: writing {count:,} events to count, twice")
    write(bootstrap, (message_of(name, event) for event in spread(count)))
    write(bootstrap, _batches(batched.requests.name, count))
    runs: Mapping[str, Callable[[], Mapping[str, float]]] = {
        FOLDED: _only(partial(bare.folded, bootstrap, name, count)),
        BYTES: _only(partial(bare.consumed, bootstrap, name, count)),
        PIPED: _only(partial(piped, bootstrap, name, count, directory)),
        FASTSTREAM: _only(partial(_faststream, bootstrap, name, few, directory)),
        FAUST: _only(
            partial(
                faust_peer.rate,
                "consume",
                bootstrap=bootstrap,
                topic=name,
                count=few,
                directory=directory,
            )
        ),
        OURS: partial(_ours, bootstrap, plain, count, directory),
        BATCHED: partial(_ours, bootstrap, batched, count, directory),
    }
    taken = interleaved(
        [Contestant(name=each, run=run) for each, run in runs.items()],
        group=GROUP,
        rounds=size.rounds,
    )
    removed(bootstrap, *(topic.name for topic in standing))
    counts = {each: f"{few if each in (FAUST, FASTSTREAM) else count:,} events" for each in runs}
    peers = (FOLDED, BYTES, PIPED, FASTSTREAM, FAUST)
    return figures(group=GROUP, measures=[COUNT, HELD], taken=taken, peers=peers, counts=counts)


def own_topics() -> Topics:
    """Names for topics of a race alone."""
    return Topics(requests=_own(REQUESTS), edges=_own(EDGES), load=_own(LOAD), usage=_own(USAGE))


def _own(topic: Topic) -> Topic:
    return replace(topic, name=f"bench.{topic.name}.{uuid.uuid4().hex[:8]}")


def message_of(topic: str, event: Event[RequestCompleted]) -> Message:
    """The event as its edge signs and writes it."""
    return codec.message(event, topic=topic, key=event.source, signing_key=SIGNING_KEY)


def _batches(topic: str, count: int) -> Iterator[Message]:
    """The same events, ``_BATCH`` of one source in a record."""
    waiting: defaultdict[str, list[Event[RequestCompleted]]] = defaultdict(list)
    for event in spread(count):
        ready = waiting[event.source]
        ready.append(event)
        if len(ready) == _BATCH:
            yield arrow.batch(ready, topic=topic, signing_key=SIGNING_KEY)
            ready.clear()
    for rest in waiting.values():
        if rest:
            yield arrow.batch(rest, topic=topic, signing_key=SIGNING_KEY)


def _only(run: Callable[[], float]) -> Callable[[], Mapping[str, float]]:
    return lambda: {COUNT.name: run()}


def _ours(bootstrap: str, topics: Topics, count: int, directory: Path) -> Mapping[str, float]:
    home = Path(tempfile.mkdtemp(prefix="ledger-", dir=directory))
    said = counted(bootstrap, topics, count, home)
    shutil.rmtree(home)
    return {COUNT.name: said[RATE], HELD.name: said[MEMORY]}


def _faststream(bootstrap: str, topic: str, count: int, directory: Path) -> float:
    log = directory / "faststream.log"
    command = module("tests.bench.faststream_app", bootstrap, topic, str(count))
    with running(command, log=log) as child:
        for line in child.stdout or ():
            if line.startswith("rate "):
                return float(line.split()[1])
    raise RuntimeError(f"FastStream gave no answer: {last_words(log)}")
