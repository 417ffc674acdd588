"""Makes the past again: each evaluation while it is kept, each change of a count for ever.

Shallow is from what each stored; ``deep`` is from the topics too, as long as they hold the facts.
Both must give the stored bytes. Shallow keeps a few chunks in memory, deep all of the topics.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import chain, islice
from typing import Final

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
from midstage.hpa.stream.judging import Judges, Task
from midstage.hpa.views.replays import Replayed, Which

CHUNK: Final = 200
CHUNK_BYTES: Final = 2**20
"""Small ones: what a processor's cache holds goes through a connection at half the cost."""
ALONE: Final = 40
"""So many chunks are judged before other processes are asked: no less than their start takes."""
_WRITTEN_WITHIN: Final = timedelta(minutes=2)
_DEEP: Final = Which(deep=True)


def replayed(
    log: Log, *, topics: Topics | None = None, which: Which = _DEEP, judges: Judges | None = None
) -> Replayed:
    """All that the log holds now of ``which``; UnavailableError when it can't be asked."""
    found = Replayed()
    for found in replaying(log, topics=topics, which=which, judges=judges):  # noqa: B007
        pass
    return found


def replaying(
    log: Log, *, topics: Topics | None = None, which: Which = _DEEP, judges: Judges | None = None
) -> Iterator[Replayed]:
    """The sums so far, again and again; the last ones are those of all.

    Both ways look at the evaluations that stand there now: others come in meanwhile. Of much that
    is judged from what it stored the ``judges`` do most; UnavailableError where they can't.
    """
    names = topics or Topics()
    ends = log.ends(log.partitions(names.evaluations.name))
    so_far = Replayed(deep=which.deep)
    for part in _judged(_tasks(log, names, which, ends), which, judges):
        so_far = so_far.plus(part)
        yield so_far
    if which.deep:
        so_far = so_far.plus(from_topics(log, names, which, ends))
    yield so_far


def _tasks(log: Log, names: Topics, which: Which, ends: Mapping[Partition, int]) -> Iterator[Task]:
    values = (record.value for record in _records(log, names.evaluations, which, ends))
    for chunk in _chunks(value for value in values if value is not None):
        yield shallow.evaluations, chunk
    for facts in _chunks(_accepted(log, names.scaling, which)):
        yield shallow.changes, facts


def _judged(tasks: Iterator[Task], which: Which, judges: Judges | None) -> Iterator[Replayed]:
    """The first ones here, so that what is soon done starts no process."""
    for work, chunk in tasks if judges is None else islice(tasks, ALONE):
        yield work(chunk, which)
    more = next(tasks, None)
    if judges is not None and more is not None:
        yield from judges.judged(chain([more], tasks), which)


def _accepted(log: Log, topic: Topic, which: Which) -> Iterator[bytes]:
    """The facts of the records that count, whoever was late."""
    versions: Fold[Scaler, object] = Fold(topic=topic, initial=Scaler(), evolve=_evolved)
    read = opened(topic)
    ends = log.ends(log.partitions(topic.name))
    for record in _records(log, topic, Which(app=which.app), ends):
        if versions.apply(record).verdict is Verdict.ACCEPTED:
            yield bytes(read(record).data.facts)


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


def _chunks(each: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    held: list[bytes] = []
    size = 0
    for one in each:
        held.append(one)
        size += len(one)
        if len(held) == CHUNK or size >= CHUNK_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _evolved(scaler: Scaler, _fact: object) -> Scaler:
    """What is counted by it is of no interest here, only which record was the first."""
    return scaler
