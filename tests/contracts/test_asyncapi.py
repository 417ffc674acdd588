"""The AsyncAPI document: whole, true to the wire, and the same each time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.asyncapi import document, tree
from midstage.contracts.topics import EDGES, TOPICS, Kind
from midstage.contracts.yaml import Node
from midstage.contracts.yaml import yaml as written
from midstage.eventlog.appended import Appended, PartitionTaken
from midstage.eventlog.codec import STRUCTURED, encode

from .test_golden import DECISIONS, EVENTS

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
Tree = dict[str, dict[str, object]]
DOCUMENT: Tree = yaml.safe_load(document(TOPICS))


def refs(node: object) -> Iterator[str]:
    match node:
        case dict():
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from refs(value)
        case list():
            for value in node:
                yield from refs(value)


def at(pointer: str) -> dict[str, object]:
    found: object = DOCUMENT
    for name in pointer.removeprefix("#/").split("/"):
        assert isinstance(found, dict), pointer
        found = found[name]
    assert isinstance(found, dict), pointer
    return found


def validator(event_type: str) -> jsonschema_rs.Validator:
    """Of the whole record: the message's payload, with all that it refers to."""
    payload = at(f"#/components/messages/{event_type}")["payload"]
    assert isinstance(payload, dict)
    return jsonschema_rs.Draft202012Validator(
        {**payload, "components": DOCUMENT["components"]}, validate_formats=True
    )


def test_the_file_is_fresh() -> None:
    assert FILE.read_text(encoding="utf-8") == document(TOPICS), "run: make docs"


def test_it_is_an_asyncapi_document_whose_references_all_lead_somewhere() -> None:
    assert document(TOPICS).splitlines()[1] == 'asyncapi: "3.0.0"'
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert set(DOCUMENT) == {
        *("asyncapi", "info", "defaultContentType", "channels", "operations", "components"),
    }
    found = list(refs(DOCUMENT))
    assert found
    for pointer in found:
        at(pointer)


def test_each_topic_is_a_channel_with_each_of_its_messages() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        channel = at(f"#/channels/{topic.name}")
        messages = channel["messages"]
        assert isinstance(messages, dict)
        appended = {topic.appended} if topic.kind is Kind.VERSIONED else set()
        taken = {topic.taken} if topic.shared else set()
        assert set(messages) == {name for name, _ in topic.facts} | appended | taken
        for reference in messages.values():
            assert at(reference["$ref"])["bindings"] == {
                "kafka": {
                    "key": {"type": "string", "description": topic.key},
                    "bindingVersion": "0.5.0",
                }
            }
        actions = [
            at(f"#/operations/{verb}.{topic.name.removeprefix('midstage.')}")["action"]
            for verb in ("write", "read")
        ]
        assert actions == ["send", "receive"]


def test_each_fact_of_a_log_is_among_those_that_it_may_hold() -> None:
    for decision in DECISIONS.values():
        for fact in decision.facts:
            schema = at(f"#/components/schemas/{type(fact).__name__}")
            properties = schema["properties"]
            assert isinstance(properties, dict)
            assert set(properties) == {"fact", *fact.__struct_fields__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_fits_its_message(name: str) -> None:
    _, event = EVENTS[name]
    validator(event.type).validate(msgspec.json.decode(encode(event)))


@pytest.mark.parametrize("name", DECISIONS)
def test_every_decision_fits_its_message(name: str) -> None:
    decision = DECISIONS[name]
    validator(decision.topic.appended).validate(msgspec.json.decode(decision.encoded()))


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_of_another_type_or_without_data_does_not_fit(name: str) -> None:
    _, event = EVENTS[name]
    said: dict[str, object] = msgspec.json.decode(encode(event))
    checked = validator(event.type)
    assert not checked.is_valid({**said, "type": "dev.midstage.other.v1"})
    assert not checked.is_valid({**said, "data": {}})
    assert not checked.is_valid({**said, "time": "noon"})
    assert not checked.is_valid({name: value for name, value in said.items() if name != "id"})


def test_the_envelope_of_decisions_is_the_one_that_is_written() -> None:
    properties = at("#/components/schemas/LimitsV1Appended")["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(Appended.__struct_fields__)
    taken = at("#/components/schemas/PartitionTaken")["properties"]
    assert isinstance(taken, dict)
    assert set(taken) == set(PartitionTaken.__struct_fields__)


def test_edges_sign_and_everybody_says_the_content_type() -> None:
    for name, _ in EDGES.facts:
        assert at(f"#/components/messages/{name}")["headers"] == {
            "$ref": "#/components/schemas/EdgeHeaders"
        }
    signed = at("#/components/schemas/EdgeHeaders")["properties"]
    assert isinstance(signed, dict)
    assert set(signed) == {"content-type", "traceparent", "ms-sig"}
    assert signed["content-type"] == {"const": STRUCTURED.decode()}


def test_times_say_that_they_are_times() -> None:
    properties = at("#/components/schemas/LoadObserved")["properties"]
    assert isinstance(properties, dict)
    assert properties["second"] == {"type": "string", "format": "date-time"}


@pytest.mark.slow
def test_every_process_writes_the_same_bytes() -> None:
    code = (
        "import sys; from midstage.contracts.asyncapi import document; "
        "from midstage.contracts.topics import TOPICS; sys.stdout.write(document(TOPICS))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert texts == {document(TOPICS).encode()}


TEXTS = st.text(max_size=12) | st.sampled_from(["yes", "No", "null", "~", "1.0", "- a", "a: b", ""])
NODES: st.SearchStrategy[Node] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, NODES, min_size=1, max_size=4))
def test_what_is_written_as_yaml_is_read_as_the_same(node: dict[str, Node]) -> None:
    assert yaml.safe_load(written(node)) == node


def test_the_document_is_read_as_it_was_meant() -> None:
    assert yaml.safe_load(document(TOPICS)) == tree(TOPICS)
