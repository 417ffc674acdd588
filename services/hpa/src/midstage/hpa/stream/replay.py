"""Makes the past again: each evaluation while it is kept, each change of a count for ever.

Shallow is from what each stored; ``deep`` is from the topics too, as long as they hold the facts.
Both must give the stored bytes. Shallow keeps one chunk in memory, deep all of the topics.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from typing import Final, TypeVar

import msgspec

from midstage.contracts.topics import Topic
from midstage.eventlog.appended import opened
from midstage.eventlog.fold import Fold, Verdict
from midstage.eventlog.log import BEGINNING, Log, Partition, Record
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.standing import between
from midstage.hpa.model import Scaler
from midstage.hpa.stream import shallow
from midstage.hpa.stream.deep import from_topics
from midstage.hpa.stream.folding import Topics
from midstage.hpa.views.replays import Replayed, Which

CHUNK: Final = 2_000
_AHEAD: Final = 4
"""So many chunks for each process wait for their turn; the log is not read faster."""
_WRITTEN_WITHIN: Final = timedelta(minutes=2)
_DEEP: Final = Which(deep=True)
T = TypeVar("T")


def replayed(
    log: Log, *, topics: Topics | None = None, which: Which = _DEEP, processes: int = 1
) -> Replayed:
    """All that the log holds now of ``which``; UnavailableError when it can't be asked."""
    found = Replayed()
    for found in replaying(log, topics=topics, which=which, processes=processes):  # noqa: B007
        pass
    return found


def replaying(
    log: Log, *, topics: Topics | None = None, which: Which = _DEEP, processes: int = 1
) -> Iterator[Replayed]:
    """The sums so far, again and again; the last ones are those of all.

    Both ways look at the evaluations that stand there now: others come in meanwhile.
    """
    names = topics or Topics()
    ends = log.ends(log.partitions(names.evaluations.name))
    so_far = Replayed(deep=which.deep)
    for part in _parts(log, names, which, ends, processes):
        so_far = so_far.plus(part)
        yield so_far
    if which.deep:
        so_far = so_far.plus(from_topics(log, names, which, ends))
    yield so_far


def _parts(
    log: Log, names: Topics, which: Which, ends: Mapping[Partition, int], processes: int
) -> Iterator[Replayed]:
    values = (record.value for record in _records(log, names.evaluations, which, ends))
    kept = (value for value in values if value is not None)
    yield from _judged(_chunks(kept), which, processes)
    for facts in _chunks(_accepted(log, names.scaling, which)):
        yield shallow.changes(facts, which)


def _judged(chunks: Iterable[Sequence[bytes]], which: Which, processes: int) -> Iterator[Replayed]:
    """In this process, or in as many others, which a chunk at a time goes to."""
    if processes <= 1:
        for chunk in chunks:
            yield shallow.evaluations(chunk, which)
        return
    waiting: list[Future[Replayed]] = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(shallow.evaluations, chunk, which))
            if len(waiting) >= processes * _AHEAD:
                yield waiting.pop(0).result()
        for each in waiting:
            yield each.result()


def _accepted(log: Log, topic: Topic, which: Which) -> Iterator[msgspec.Raw]:
    """The facts of the records that count, whoever was late."""
    versions: Fold[Scaler, object] = Fold(topic=topic, initial=Scaler(), evolve=_evolved)
    read = opened(topic)
    ends = log.ends(log.partitions(topic.name))
    for record in _records(log, topic, Which(app=which.app), ends):
        if versions.apply(record).verdict is Verdict.ACCEPTED:
            yield read(record).data.facts


def _records(
    log: Log, topic: Topic, which: Which, ends: Mapping[Partition, int]
) -> Iterator[Record]:
    """Those before ``ends`` that may be of ``which``, partition by partition."""
    places = list(log.partitions(topic.name))
    if which.app is not None:
        places = [places[partition_of(which.app.encode(), len(places))]]
    starts: dict[Partition, int] = dict.fromkeys(places, BEGINNING)
    if which.since is not None:
        starts |= log.offsets_at(places, which.since - _WRITTEN_WITHIN)
    return between(log, starts, ends)


def _chunks(each: Iterable[T]) -> Iterator[Sequence[T]]:
    held: list[T] = []
    for one in each:
        held.append(one)
        if len(held) == CHUNK:
            yield held
            held = []
    if held:
        yield held


def _evolved(scaler: Scaler, _fact: object) -> Scaler:
    """What is counted by it is of no interest here, only which record was the first."""
    return scaler
