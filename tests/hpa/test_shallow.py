"""An evaluation made again from what it stored: what was decided is compared to the byte."""

from collections.abc import Sequence

import msgspec
import pytest

from midstage.contracts.fact import Event
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade, Inputs
from midstage.eventlog.codec import encode
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.stream import shallow
from midstage.hpa.views.replays import Replayed, Which
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load, pods

ALL = Which()
RECORDED = inputs(load=load(concurrency=47, requests_per_s=3), pods=pods(3, starting=1, cpu=0.5))


def record(of: Inputs, *, engine: str = ENGINE) -> bytes:
    """As hpa writes what it decided of ``of``."""
    kept = msgspec.json.decode(msgspec.json.encode(of), type=Inputs)
    made = msgspec.structs.replace(
        evaluate(kept), engine=engine, offsets={"midstage.load.v1/3": 17}
    )
    return encode(
        Event(
            id="hpa/0",
            source="hpa",
            type=EVALUATION_MADE,
            time=NOON,
            subject=of.app,
            data=EvaluationMade(app=of.app, evaluation=made, decided=True, epoch=3),
        )
    )


def replaced(value: bytes, before: bytes, after: bytes) -> bytes:
    assert value.count(before) == 1, before
    return value.replace(before, after)


def judged(*values: bytes, which: Which = ALL) -> Replayed:
    return shallow.evaluations(values, which)


def test_what_was_decided_comes_out_to_the_byte() -> None:
    found = judged(record(RECORDED), record(inputs()))
    assert (found.total, found.from_stored_equal, found.first) == (2, 2, None)


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        (b'"want":5,"engine"', b'"want":7,"engine"', "want was 7, is 5"),
        (b'"exact":4.7,', b'"exact":4.70,', "the bytes alone differ"),
        (b'"name":"bounds",', b'"name":"bound",', "name was 'bound', is 'bounds'"),
        (b'"current":4', b'"current":5', "is"),
    ],
)
def test_a_decision_that_was_changed_is_found(before: bytes, after: bytes, where: str) -> None:
    forged = replaced(record(RECORDED), before, after)
    found = judged(record(inputs()), forged)
    assert (found.total, found.from_stored_equal) == (2, 1)
    assert where in (found.first_difference or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"spec_version":1,', b'"spec_version":1,"of_a_later_release":[1, 2],'),
        (b'"current":4', b'"current": 4'),
        (b'/3":17', b'/3": 17'),
    ],
)
def test_what_it_was_decided_from_stands_as_it_is(before: bytes, after: bytes) -> None:
    assert judged(replaced(record(RECORDED), before, after)).equal


def test_what_is_not_asked_for_is_not_counted() -> None:
    others = [record(inputs(app="other")), record(inputs(now=NOON.replace(year=2025)))]
    found = judged(record(RECORDED), *others, which=Which(app="chat", since=NOON))
    assert (found.total, found.from_stored_equal) == (1, 1)


@pytest.mark.parametrize("engine", [ENGINE, "hpa/0"])
def test_what_cannot_be_read_is_not_counted(engine: str) -> None:
    whole = record(RECORDED, engine=engine)
    broken: Sequence[bytes] = (
        b"",
        whole[:-9],
        replaced(whole, b'"decided":true', b'"decided":7'),
        replaced(whole, b'"proposals":[', b'"proposals":[7,'),
        replaced(whole, b'"spec_version":1,', b'"spec_version":"one",'),
    )
    assert judged(*broken) == Replayed()


def test_what_another_engine_decided_is_counted_by_its_name() -> None:
    found = judged(record(RECORDED), record(RECORDED, engine="hpa/0"))
    assert (found.total, found.from_stored_equal, found.others) == (1, 1, {"hpa/0": 1})
