"""Makes evaluations again from what they stored, and compares the bytes, record by record.

A record of our own ends in the very bytes that we would write around its inputs and offsets; of
those nothing but the inputs is read. Only where it does not is it taken apart. What can't be read,
and what other engines decided, is not made again.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import structs

from midstage.contracts.fact import Name
from midstage.contracts.scaling import Evaluation, EvaluationMade, Inputs
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.views.differing import difference
from midstage.hpa.views.replays import Difference, Replayed, Which, earlier

FROM_STORED: Final = "from what it stored"
T = TypeVar("T")


class _Envelope(msgspec.Struct, Generic[T]):
    data: T


class _Stored(msgspec.Struct, gc=False):
    inputs: msgspec.Raw
    engine: str = ""
    offsets: msgspec.Raw = msgspec.Raw(b"{}")


class _Fact(msgspec.Struct, gc=False):
    app: Name
    evaluation: _Stored
    decided: bool = False
    epoch: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


class _Made(msgspec.Struct):
    evaluation: msgspec.Raw


class _Change(msgspec.Struct):
    evaluation: msgspec.Raw = msgspec.Raw()


_STORED: Final = msgspec.json.Decoder(_Envelope[_Fact])
_INPUTS: Final = msgspec.json.Decoder(Inputs)
_RECORD: Final = msgspec.json.Decoder(_Envelope[EvaluationMade])
_RAW: Final = msgspec.json.Decoder(_Envelope[_Made])
_FACTS: Final = msgspec.json.Decoder(tuple[_Change, ...])
_EVALUATION: Final = msgspec.json.Decoder(Evaluation)
_ENCODER: Final = msgspec.json.Encoder()


def evaluations(values: Iterable[bytes], which: Which) -> Replayed:
    """What becomes of these records of the evaluations' stream."""
    total = equal = 0
    others = Counter[str]()
    first: Difference | None = None
    for value in values:
        try:
            fact = _STORED.decode(value).data
            inputs = _INPUTS.decode(fact.evaluation.inputs)
            if not which.takes(fact.app, inputs.now):
                continue
            if _equal(value, fact, inputs):
                total += 1
                equal += 1
                continue
            stored = _RECORD.decode(value).data.evaluation
        except (msgspec.DecodeError, UnicodeError):
            continue  # garbage; no reader folds it
        if stored.engine != ENGINE:
            others[stored.engine] += 1
            continue
        total += 1
        found = different(value, stored, again(stored), FROM_STORED)
        equal += found is None
        first = earlier(first, found)
    return Replayed(total=total, from_stored_equal=equal, others=dict(others), first=first)


def changes(facts: Iterable[bytes], which: Which) -> Replayed:
    """What becomes of the changes in these records' facts of the log of counts."""
    count = equal = 0
    others = Counter[str]()
    first: Difference | None = None
    raws = (bytes(each.evaluation) for text in facts for each in _FACTS.decode(text))
    for raw in filter(None, raws):  # the end of scaling has none
        stored = _EVALUATION.decode(raw)
        if not which.takes(stored.inputs.app, stored.inputs.now):
            continue
        if stored.engine != ENGINE:
            others[stored.engine] += 1
            continue
        count += 1
        found = _differing(raw, stored, again(stored), FROM_STORED)
        equal += found is None
        first = earlier(first, found)
    return Replayed(changes=count, from_stored_equal=equal, others=dict(others), first=first)


def again(stored: Evaluation) -> Evaluation:
    """The evaluation of the stored inputs."""
    return as_of(stored, evaluate(stored.inputs))


def as_of(stored: Evaluation, made: Evaluation) -> Evaluation:
    """With what the engine does not decide itself."""
    return structs.replace(made, engine=stored.engine, offsets=stored.offsets)


def different(
    value: bytes, stored: Evaluation, made: Evaluation | str, way: str
) -> Difference | None:
    """Where a record's evaluation and ``made`` differ; a text says why it could not be made."""
    if isinstance(made, str):
        inputs = stored.inputs
        return Difference(
            app=inputs.app, at=inputs.now, way=way, where=made, stored=stored, made=None
        )
    return _differing(bytes(_RAW.decode(value).data.evaluation), stored, made, way)


def _equal(value: bytes, fact: _Fact, inputs: Inputs) -> bool:
    """Whether our engine decided it, and the record is what we would write: so are nearly all."""
    stored = fact.evaluation
    if stored.engine != ENGINE:
        return False
    made = structs.replace(
        evaluate(inputs), inputs=stored.inputs, engine=stored.engine, offsets=stored.offsets
    )
    written = EvaluationMade(app=fact.app, evaluation=made, decided=fact.decided, epoch=fact.epoch)
    return value.endswith(b'"data":' + _ENCODER.encode(written) + b"}")


def _differing(raw: bytes, stored: Evaluation, made: Evaluation, way: str) -> Difference | None:
    again_raw = _ENCODER.encode(made)
    if again_raw == raw:
        return None
    where = difference(msgspec.json.decode(raw), msgspec.json.decode(again_raw))
    inputs = stored.inputs
    return Difference(
        app=inputs.app,
        at=inputs.now,
        way=way,
        where=where or "the bytes alone differ",
        stored=stored,
        made=made,
    )
