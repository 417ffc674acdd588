"""The series of an application as the log holds it: requests a second, from its load facts.

A second counts when all shards of stats spoke of it, each by its newest revision; a step is the
mean of its known seconds, and unknown without any.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from midstage.contracts import topics
from midstage.contracts.errors import UnreadableError
from midstage.contracts.load import LoadObserved
from midstage.contracts.requests import Outcome
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Log
from midstage.eventlog.standing import standing
from midstage.hpa.simulate.series import STEP_S, Series, of

Parts = dict[tuple[int, int], tuple[int, int]]
"""By shards and shard: revision and requests."""


def logged(log: Log, app: str, *, topic: Topic = topics.LOAD) -> Series:
    """All that the topic holds of ``app``; UnreadableError where that is no series."""
    told = (fact for fact in facts(log, topic) if isinstance(fact, LoadObserved))
    return carried(fact for fact in told if fact.app == app)


def carried(facts: Iterable[LoadObserved]) -> Series:
    """The series of the facts of one application; UnreadableError where they are too few."""
    seconds: defaultdict[int, Parts] = defaultdict(dict)
    for fact in facts:
        parts, which = seconds[int(fact.second.timestamp())], (fact.shards, fact.shard)
        if which not in parts or parts[which][0] < fact.revision:
            parts[which] = (fact.revision, _requests(fact))
    steps: defaultdict[int, list[int]] = defaultdict(list)
    for second, parts in seconds.items():
        shards = max(shards for shards, _ in parts)
        known = [count for (of_shards, _), (_, count) in parts.items() if of_shards == shards]
        if len(known) == shards:
            steps[second // STEP_S].append(sum(known))
    return of((float(step * STEP_S), sum(counts) / len(counts)) for step, counts in steps.items())


def facts(log: Log, topic: Topic) -> Iterator[object]:
    """All facts that the topic holds now; what can't be read is passed over, as by every reader."""
    decoder = Decoder(topic)
    for record in standing(log, topic.name):
        try:
            yield decoder(record).data
        except UnreadableError:
            continue


def _requests(fact: LoadObserved) -> int:
    """All that ended, but refused ones: they never came to a replica."""
    return sum(n for name, n in fact.outcomes.items() if name != Outcome.REFUSED.value)
