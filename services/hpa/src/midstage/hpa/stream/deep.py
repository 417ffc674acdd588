"""Makes evaluations again from the topics: the facts folded up to the offsets that they name.

Load, cluster and evaluations by the same fold as the live service, and not from the compacted
inventory; the versioned logs up to the stored versions. One pass in the order of the offsets; a
second fold is begun only where two processes wrote, whose offsets don't follow each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from midstage.contracts.errors import UnreadableError
from midstage.contracts.scaling import Evaluation, EvaluationMade
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Log, Partition
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.stream.folding import Folding, Topics
from midstage.hpa.stream.held import Held, held
from midstage.hpa.stream.shallow import as_of, different
from midstage.hpa.views.replays import Difference, Replayed, Which, earlier

FROM_TOPICS: Final = "from the topics"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    evaluation: Evaluation
    value: bytes
    vector: dict[Partition, int]


def from_topics(log: Log, names: Topics, which: Which, ends: Mapping[Partition, int]) -> Replayed:
    """All evaluations before ``ends``; UnavailableError when the log can't be asked."""
    kept = held(log, names)
    stored = sorted(_stored(kept, names, which, ends), key=lambda each: sum(each.vector.values()))
    lanes: list[_Lane] = []
    equal = unheld = 0
    first: Difference | None = None
    for each in stored:
        if not kept.enough(each.evaluation, each.vector):
            unheld += 1
            continue
        made = _lane(lanes, each, kept, names).made(each)
        found = different(each.value, each.evaluation, made, FROM_TOPICS)
        equal += found is None
        first = earlier(first, found)
    return Replayed(deep=True, from_topics_equal=equal, unheld=unheld, first=first)


class _Lane:
    """One fold of the streams that only goes forward."""

    def __init__(self, kept: Held, names: Topics) -> None:
        self.at: dict[Partition, int] = {}
        self._kept = kept
        self._folding = Folding(names)

    def before(self, vector: dict[Partition, int]) -> bool:
        return all(vector.get(place, 0) >= offset for place, offset in self.at.items())

    def made(self, stored: _Stored) -> Evaluation | str:
        for place, offset in stored.vector.items():
            for record in self._kept.records(place, self.at.get(place, 0), offset):
                self._folding.fold(record)
            self.at[place] = offset
        inputs = stored.evaluation.inputs
        app = inputs.app
        standing = self._kept.standing(app, inputs.spec_version, inputs.scale_version)
        if standing is None or standing.asked.policy is None:
            return "the versioned logs do not hold its versions"
        derived = self._folding.world.inputs(app, standing, standing.asked.policy, inputs.now)
        return as_of(stored.evaluation, evaluate(derived))


def _lane(lanes: list[_Lane], stored: _Stored, kept: Held, names: Topics) -> _Lane:
    """The fold that is furthest on but not past the evaluation's offsets; a new one else."""
    ready = [lane for lane in lanes if lane.before(stored.vector)]
    if not ready:
        ready = [_Lane(kept, names)]
        lanes += ready
    return max(ready, key=lambda lane: sum(lane.at.values()))


def _stored(
    kept: Held, names: Topics, which: Which, ends: Mapping[Partition, int]
) -> Iterator[_Stored]:
    decoder = Decoder(names.evaluations)
    for record in kept.all_of(names.evaluations.name):
        if record.offset >= ends[record.partition]:
            continue
        try:
            fact = decoder(record).data
        except UnreadableError:
            continue
        if not isinstance(fact, EvaluationMade):
            continue
        made = fact.evaluation
        if made.engine == ENGINE and which.takes(fact.app, made.inputs.now):
            yield _Stored(evaluation=made, value=record.value or b"", vector=_vector(made))


def _vector(evaluation: Evaluation) -> dict[Partition, int]:
    split = ((name.rpartition("/"), offset) for name, offset in evaluation.offsets.items())
    return {Partition(topic=topic, number=int(n)): offset for (topic, _, n), offset in split}
