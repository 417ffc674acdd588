"""The race of the log: our eventlog beside the bare client and Faust, one broker, one payload."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.bench import bare, faust_peer, ours
from tests.bench.figures import Figure, Measure, figures
from tests.bench.payload import events
from tests.bench.rounds import Contestant, Size, interleaved, say
from tests.bench.topics import created, filled, messages, removed
from tests.bench.usage import ExactUsage, Usage

GROUP = "eventlog"
PRODUCE = Measure(name="produce", unit="events/s")
FOLD = Measure(name="consume, decode, fold", unit="events/s")
BARE, FAUST = "bare confluent-kafka", "faust-streaming"
BARE_BYTES = "bare confluent-kafka, bytes only"
OURS, ENCODED, EXACT = "midstage", "midstage, encoded and signed", "midstage, each number once"
_DISTINCT = 20_000

Runs = Mapping[str, Callable[[], float]]


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Produce, then consume; the figures of both."""
    return [
        *_produce(bootstrap=bootstrap, directory=directory, size=size),
        *_consume(bootstrap=bootstrap, directory=directory, size=size),
    ]


def _produce(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    topics = {each: created(bootstrap, "produce") for each in (BARE, FAUST, OURS, ENCODED)}
    distinct = min(size.events, _DISTINCT)
    unwritten = list(events(distinct))
    ready = {name: list(messages(topics[name], distinct)) for name in (BARE, OURS)}
    faust = partial(faust_peer.rate, "produce", bootstrap=bootstrap, directory=directory)
    runs: Runs = {
        BARE: partial(bare.produced, bootstrap, ready[BARE], size.events),
        OURS: partial(ours.produced, bootstrap, ready[OURS], size.events),
        ENCODED: partial(ours.encoded, bootstrap, topics[ENCODED], unwritten, size.events),
        FAUST: partial(faust, topic=topics[FAUST], count=size.peer_events),
    }
    found = _compared(PRODUCE, runs, size)
    removed(bootstrap, *topics.values())
    return found


def _consume(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    say(f"{GROUP}: writing {size.events:,} events to read")
    topic = filled(bootstrap, "consume", size.events)
    faust = partial(faust_peer.rate, "consume", bootstrap=bootstrap, directory=directory)
    runs: Runs = {
        BARE: partial(bare.folded, bootstrap, topic, size.events),
        BARE_BYTES: partial(bare.consumed, bootstrap, topic, size.events),
        OURS: lambda: ours.folded(bootstrap, topic, size.events, Usage()),
        EXACT: lambda: ours.folded(bootstrap, topic, size.events, ExactUsage()),
        FAUST: partial(faust, topic=topic, count=size.peer_events),
    }
    found = _compared(FOLD, runs, size)
    removed(bootstrap, topic)
    return found


def _compared(measure: Measure, runs: Runs, size: Size) -> list[Figure]:
    taken = interleaved(
        [Contestant(name=name, run=_named(measure, run)) for name, run in runs.items()],
        group=GROUP,
        rounds=size.rounds,
    )
    counts = {
        name: f"{size.peer_events if name == FAUST else size.events:,} events" for name in runs
    }
    return figures(group=GROUP, measures=[measure], taken=taken, peers=(BARE, FAUST), counts=counts)


def _named(measure: Measure, run: Callable[[], float]) -> Callable[[], Mapping[str, float]]:
    return lambda: {measure.name: run()}
