"""Golden files pin the bytes on the wire: one may be added, none is ever edited.

``python -m tests.contracts.test_golden`` writes what is missing and its line in SHA256SUMS.
"""

import hashlib
from pathlib import Path
from typing import get_args

import pytest

from midstage.contracts.topics import CLUSTER, INVENTORY, TOPICS, Kind, Topic
from midstage.eventlog.appended import Facts, opened
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, encode
from midstage.eventlog.log import Partition, Record

from . import examples_apps, examples_cluster, examples_paying, examples_scaling
from .examples import NOON, Decision, Events

GOLDEN = Path(__file__).parent / "golden"
SUMS = GOLDEN / "SHA256SUMS"
EVENTS: Events = {
    **examples_paying.EVENTS,
    **examples_cluster.EVENTS,
    **examples_scaling.EVENTS,
}
DECISIONS: dict[str, Decision] = {
    **examples_paying.DECISIONS,
    **examples_apps.DECISIONS,
    **examples_scaling.DECISIONS,
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_has_the_bytes_that_it_always_had(name: str) -> None:
    assert encode(EVENTS[name][1]) == golden(name)


@pytest.mark.parametrize("name", EVENTS)
def test_bytes_of_any_age_are_read_as_the_same_event(name: str) -> None:
    topic, event = EVENTS[name]
    assert Decoder(topic)(record(topic, event.source, golden(name))) == event


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_has_the_bytes_that_it_always_had(name: str) -> None:
    assert DECISIONS[name].encoded() == golden(name)


@pytest.mark.parametrize("name", DECISIONS)
def test_bytes_of_any_age_are_read_as_the_same_decision(name: str) -> None:
    made = DECISIONS[name]
    decision = opened(made.topic)(record(made.topic, made.key, golden(name)))
    assert (decision.data.key, decision.data.version) == (made.key, made.version)
    assert decision.data.command_id == f"command-{made.version}"
    assert decision.time == NOON
    assert Facts[object](made.topic)(decision.data.facts) == made.facts


def test_no_golden_file_was_edited() -> None:
    lines = [line.split("  ") for line in SUMS.read_text().splitlines()]
    listed = {name: sha256 for sha256, name in lines}
    found = {file.name: digest(file.read_bytes()) for file in GOLDEN.glob("*.json")}
    assert found == listed


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_fact_has_a_golden_file(topic: Topic) -> None:
    if topic.kind is Kind.VERSIONED:
        made = [each for each in DECISIONS.values() if each.topic == topic]
        assert {type(fact) for each in made for fact in each.facts} == set(get_args(topic.union))
        return
    pinned = CLUSTER if topic == INVENTORY else topic  # the inventory repeats the cluster's bytes
    shown = {event.type for of, event in EVENTS.values() if of == pinned}
    assert shown == {kind for kind, _ in topic.facts}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def record(topic: Topic, key: str, value: bytes) -> Record:
    return Record(
        partition=Partition(topic=topic.name, number=0),
        offset=0,
        key=key.encode(),
        value=value,
        headers=((CONTENT_TYPE, STRUCTURED),),
    )


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_missing() -> None:
    values = {name: encode(event) for name, (_, event) in EVENTS.items()}
    values |= {name: decision.encoded() for name, decision in DECISIONS.items()}
    with SUMS.open("a") as sums:
        for name, value in values.items():
            file = GOLDEN / f"{name}.json"
            if not file.exists():
                file.write_bytes(value)
                sums.write(f"{digest(value)}  {file.name}\n")


if __name__ == "__main__":
    write_missing()
