"""What readers of routes, clusters and scaling may rely on, and what they refuse."""

import msgspec
import pytest

from midstage.contracts.cluster import Kind, key_of
from midstage.contracts.routes import Endpoint
from midstage.contracts.scaling import ScaleDecided, ScalingFact
from midstage.contracts.topics import SCALING
from midstage.eventlog.appended import Facts

from .examples_scaling import DECISIONS, FULL

(DECIDED,) = DECISIONS["scaling-appended-decided"].facts


def test_nobody_can_decide_for_no_replica() -> None:
    assert isinstance(DECIDED, ScaleDecided)
    none = msgspec.json.encode((msgspec.structs.replace(DECIDED, replicas=0),))
    with pytest.raises(Exception, match="replicas"):
        Facts[ScalingFact](SCALING)(none)


def test_a_decision_brings_all_that_it_was_made_from() -> None:
    read: tuple[ScalingFact, ...] = Facts[ScalingFact](SCALING)(msgspec.json.encode((DECIDED,)))
    (fact,) = read
    assert isinstance(fact, ScaleDecided)
    assert fact.evaluation == FULL
    assert msgspec.json.encode(fact.evaluation) == msgspec.json.encode(FULL)


@pytest.mark.parametrize(
    "endpoint",
    [
        '{"pod": "a", "address": "h:1", "way": "gone"}',
        '{"pod": "a", "address": "h:1", "way": "serving", "active": -1}',
        '{"pod": "", "address": "h:1", "way": "serving"}',
    ],
)
def test_an_endpoint_that_can_not_be_is_refused(endpoint: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(endpoint, type=Endpoint)


def test_everything_that_is_said_of_one_object_has_one_key() -> None:
    of_pod = key_of(cluster="local", kind=Kind.POD, namespace="default", name="chat-0")
    assert of_pod == "local/pod/default/chat-0"
    assert key_of(cluster="local", kind=Kind.NODE, namespace="", name="n") == "local/node//n"
