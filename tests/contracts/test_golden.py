"""Golden files pin the bytes on the wire: one may be added, none is ever edited.

``python -m tests.contracts.test_golden`` writes what is missing and its line in SHA256SUMS.
"""

import hashlib
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from midstage.contracts.topics import CLUSTER, INVENTORY, TOPICS, Kind, Topic
from midstage.eventlog.appended import Facts, opened
from midstage.eventlog.codec import CONTENT_TYPE, STRUCTURED, Decoder, encode
from midstage.eventlog.log import Partition, Record

from . import (
    examples_apps,
    examples_cluster,
    examples_members,
    examples_paying,
    examples_peaks,
    examples_scaling,
    examples_signals,
    examples_spends,
    examples_stats,
)
from .examples import NOON, Decision, Events

GOLDEN = Path(__file__).parent / "golden"
SUMS = GOLDEN / "SHA256SUMS"
EVENTS: Events = {
    **examples_paying.EVENTS,
    **examples_cluster.EVENTS,
    **examples_scaling.EVENTS,
    **examples_members.EVENTS,
    **examples_peaks.EVENTS,
    **examples_signals.EVENTS,
    **examples_spends.EVENTS,
    **examples_stats.EVENTS,
}
DECISIONS: dict[str, Decision] = {
    **examples_paying.DECISIONS,
    **examples_apps.DECISIONS,
    **examples_peaks.DECISIONS,
    **examples_scaling.DECISIONS,
    **examples_stats.DECISIONS,
}
GROWN: frozenset[str] = frozenset(
    {
        "apps-appended-specified-full",
        "apps-appended-specified-minimal",
        "apps-appended-specified-surrounded",
        "node-observed",
        "node-used",
        "pod-observed-full",
        "pod-observed-minimal",
        "pod-observed-waiting",
        "pod-used",
        "load-observed",
        "load-observed-unknown",
        "workload-observed",
        "workload-observed-drifted",
        "evaluation-made-full",
        "evaluation-made-minimal",
        "evaluation-made-panicking",
        "evaluation-made-signalled",
        "scaling-appended-decided",
        "room-taken",
        "customers-taken",
    }
)
"""Files of facts that have gained fields since: still read, and written with more than they say."""


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_has_the_bytes_that_it_always_had(name: str) -> None:
    assert is_as_ever(name, encode(EVENTS[name][1]))


@pytest.mark.parametrize("name", EVENTS)
def test_bytes_of_any_age_are_read_as_the_same_event(name: str) -> None:
    topic, event = EVENTS[name]
    assert Decoder(topic)(record(topic, event.source, golden(name))) == event


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_has_the_bytes_that_it_always_had(name: str) -> None:
    assert is_as_ever(name, DECISIONS[name].encoded())


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


def test_a_fact_may_only_grow() -> None:
    old = {"type": "t", "data": {"a": 1, "parts": [{"b": 2}]}}
    assert has_all_of({**old, "data": {"a": 1, "new": 0, "parts": [{"b": 2, "c": 3}]}}, old)
    assert not has_all_of({**old, "data": {"a": 2, "parts": [{"b": 2}]}}, old)
    assert not has_all_of({"type": "t", "data": {"a": 1, "parts": []}}, old)
    assert not has_all_of({"type": "t", "data": {"parts": [{"b": 2}]}}, old)


def is_as_ever(name: str, written: bytes) -> bool:
    if name in GROWN:
        return has_all_of(msgspec.json.decode(written), msgspec.json.decode(golden(name)))
    return written == golden(name)


def has_all_of(new: object, old: object) -> bool:
    match new, old:
        case dict(), dict():
            return all(name in new and has_all_of(new[name], old[name]) for name in old)
        case list(), list():
            return len(new) == len(old) and all(map(has_all_of, new, old))
        case _:
            return new == old


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
