"""What the log says of one replay's scaling: hpa's decisions and what the cluster was.

Both topics are read from their oldest record to the end that they have now, without a group:
the count before the first change in the replay stands in an older fact. No service is asked.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, assert_never

from midstage.contracts.cluster import (
    OBJECT_GONE,
    POD_OBSERVED,
    ClusterFact,
    Kind,
    ObjectGone,
    PodObserved,
)
from midstage.contracts.errors import UnavailableError, UnreadableError
from midstage.contracts.fact import Fact
from midstage.contracts.manual import (
    OverrideLifted,
    OverrideSet,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.scaling import ScaleDecided, ScalingFact, ScalingRemoved
from midstage.contracts.topics import CLUSTER, SCALING, Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.fold import Fold
from midstage.eventlog.log import BEGINNING, Log, Record

WITHIN_S = 30.0
_MOST = 10_000
_POLL_S = 0.2
_PODS: Final[Mapping[str, type[Fact]]] = {POD_OBSERVED: PodObserved, OBJECT_GONE: ObjectGone}

Decided = tuple[ScaleDecided, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All decisions ever, by time, and all that was said of pods up to a moment; of every app."""

    decisions: Decided = ()
    pods: tuple[ClusterFact, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """What is read; tests give topics of their own."""

    cluster: Topic = CLUSTER
    scaling: Topic = SCALING


TOPICS: Final = Topics()


def told(
    log: Log,
    *,
    until: datetime,
    topics: Topics = TOPICS,
    within_s: float = WITHIN_S,
    monotonic: Callable[[], float] = time.monotonic,
) -> Told:
    """What the log says up to ``until``; UnavailableError when it can't be read in time."""
    read = partial(_records, log, deadline=monotonic() + within_s, monotonic=monotonic)
    pods = tuple(_pods(read(topics.cluster), topics.cluster))
    return Told(
        decisions=_decisions(read(topics.scaling), topics.scaling),
        pods=tuple(fact for fact in pods if fact.observed_at <= until),
    )


def _records(
    log: Log, topic: Topic, *, deadline: float, monotonic: Callable[[], float]
) -> Iterator[Record]:
    ends = log.ends(log.partitions(topic.name))
    reader = log.reader(dict.fromkeys(ends, BEGINNING))
    try:
        while any(at < ends[place] for place, at in reader.positions().items()):
            if monotonic() > deadline:
                raise UnavailableError(f"{topic.name} could not be read to its end in time")
            yield from reader.poll(most=_MOST, timeout_s=_POLL_S)
    finally:
        reader.close()


def pod_facts(topic: Topic) -> Callable[[Record], ClusterFact | None]:
    """Reads what a record says of a pod; None for usage, nodes, workloads, and what is garbage."""
    read = Decoder(topic, _PODS)

    def pod(record: Record) -> ClusterFact | None:
        try:
            fact = read(record).data
        except UnreadableError:
            return None
        match fact:
            case PodObserved():
                return fact
            case ObjectGone(kind=Kind.POD):
                return fact
        return None

    return pod


def decisions_fold(topic: Topic) -> Fold[Decided, ScalingFact]:
    """Each application's decisions, in the order of their versions."""
    return Fold(topic=topic, initial=(), evolve=_with)


def _pods(records: Iterator[Record], topic: Topic) -> Iterator[ClusterFact]:
    read = pod_facts(topic)
    return (fact for record in records if (fact := read(record)) is not None)


def _decisions(records: Iterator[Record], topic: Topic) -> Decided:
    fold = decisions_fold(topic)
    for record in records:
        fold.apply(record)
    every = (fact for decided in fold.states().values() for fact in decided)
    return tuple(sorted(every, key=lambda fact: (fact.at, fact.app)))


def _with(decided: Decided, fact: ScalingFact) -> Decided:
    match fact:
        case ScaleDecided():
            return (*decided, fact)
        case (
            ScalingRemoved() | OverrideSet() | OverrideLifted() | ScalingPaused() | ScalingResumed()
        ):
            return decided
        case _:
            assert_never(fact)
