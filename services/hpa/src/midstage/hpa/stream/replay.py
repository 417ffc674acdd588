"""Makes every evaluation in the log again: from what it stored, and from the topics.

From the topics means: load, cluster and evaluations folded up to the stored offsets, the versioned
logs up to the stored versions, by the same fold as the live service, and not from the compacted
inventory. Both must give the stored bytes. One pass in the order of the offsets; a second fold is
begun only where two processes wrote, whose offsets don't follow each other.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from midstage.contracts.errors import MidstageError, UnreadableError
from midstage.contracts.scaling import Evaluation, EvaluationMade
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Log, Partition, Record
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.stream.folding import Folding, Topics
from midstage.hpa.stream.held import Held, held
from midstage.hpa.views.differing import difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of ``total`` evaluations; ``unheld``: the topics hold their facts no more.

    ``first_difference`` names the evaluation, the way, and the first field that differs.
    """

    total: int
    from_stored_equal: int
    from_topics_equal: int
    unheld: int = 0
    first_difference: str | None = None

    @property
    def equal(self) -> bool:
        """Whether each was made again, in both ways, as far as the topics hold its facts."""
        topics = self.from_topics_equal + self.unheld
        return self.from_stored_equal == self.total == topics


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    made: EvaluationMade
    raw: bytes
    vector: dict[Partition, int]


class _Made(msgspec.Struct):
    evaluation: msgspec.Raw


class _Envelope(msgspec.Struct):
    data: _Made


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def replayed(log: Log, *, topics: Topics | None = None) -> Replayed:
    """Replay all evaluations that the log holds now; UnavailableError when it can't be asked."""
    names = topics or Topics()
    kept = held(log, names)
    stored = sorted(_stored(kept, names), key=lambda each: sum(each.vector.values()))
    lanes: list[_Lane] = []
    from_stored = from_topics = unheld = 0
    first: str | None = None
    for each in stored:
        why = _different(each, "from what it stored", _again(each.made.evaluation))
        from_stored += why is None
        first = first or why
        if not kept.enough(each.made.evaluation, each.vector):
            unheld += 1
            continue
        why = _different(each, "from the topics", _lane(lanes, each, kept, names).made(each))
        from_topics += why is None
        first = first or why
    return Replayed(
        total=len(stored),
        from_stored_equal=from_stored,
        from_topics_equal=from_topics,
        unheld=unheld,
        first_difference=first,
    )


def command(arguments: Sequence[str], *, log_at: Callable[[str], Log]) -> int:
    """``replay --kafka ADDRESS``: counts on stdout; 0 all equal, 1 not, 2 a wrong command line."""
    parser = argparse.ArgumentParser(prog="midstage.hpa.main replay", description=__doc__)
    parser.add_argument("--kafka", required=True, metavar="ADDRESS", help="bootstrap servers")
    asked = parser.parse_args(arguments)
    try:
        found = replayed(log_at(asked.kafka))
    except MidstageError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    sys.stdout.write(
        f"{found.total} evaluations: {found.from_stored_equal} equal from what they stored, "
        f"{found.from_topics_equal} equal from the topics, {found.unheld} no longer held\n"
    )
    if found.first_difference is not None:
        sys.stdout.write(f"first difference: {found.first_difference}\n")
    return 0 if found.equal else 1


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
        evaluation = stored.made.evaluation
        app = evaluation.inputs.app
        standing = self._kept.standing(
            app, evaluation.inputs.spec_version, evaluation.inputs.scale_version
        )
        if standing is None or standing.asked.policy is None:
            return "the versioned logs do not hold its versions"
        inputs = self._folding.world.inputs(
            app, standing, standing.asked.policy, evaluation.inputs.now
        )
        made = evaluate(inputs)
        return msgspec.structs.replace(made, engine=evaluation.engine, offsets=evaluation.offsets)


def _lane(lanes: list[_Lane], stored: _Stored, kept: Held, names: Topics) -> _Lane:
    """The fold that is furthest on but not past the evaluation's offsets; a new one else."""
    ready = [lane for lane in lanes if lane.before(stored.vector)]
    if not ready:
        ready = [_Lane(kept, names)]
        lanes += ready
    return max(ready, key=lambda lane: sum(lane.at.values()))


def _again(stored: Evaluation) -> Evaluation:
    made = evaluate(stored.inputs)
    return msgspec.structs.replace(made, engine=stored.engine, offsets=stored.offsets)


def _different(stored: _Stored, how: str, made: Evaluation | str) -> str | None:
    """Where the bytes differ; None when they are the same."""
    inputs = stored.made.evaluation.inputs
    if isinstance(made, str):
        return f"{inputs.app} at {inputs.now.isoformat()}, {how}: {made}"
    again = msgspec.json.encode(made)
    if again == stored.raw:
        return None
    where = difference(msgspec.json.decode(stored.raw), msgspec.json.decode(again))
    return f"{inputs.app} at {inputs.now.isoformat()}, {how}: {where}"


def _stored(kept: Held, names: Topics) -> Iterator[_Stored]:
    decoder = Decoder(names.evaluations)
    for record in kept.all_of(names.evaluations.name):
        try:
            fact = decoder(record).data
        except UnreadableError:
            continue
        if isinstance(fact, EvaluationMade):
            yield _Stored(made=fact, raw=_raw(record), vector=_vector(fact.evaluation))


def _raw(record: Record) -> bytes:
    return bytes(_ENVELOPE.decode(record.value or b"").data.evaluation)


def _vector(evaluation: Evaluation) -> dict[Partition, int]:
    split = ((name.rpartition("/"), offset) for name, offset in evaluation.offsets.items())
    return {Partition(topic=topic, number=int(n)): offset for (topic, _, n), offset in split}
