import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.client.events import Filling, Reading
from midstage.client.send import read
from midstage.contracts.errors import UnreadableError
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.topics import EVENT_BYTES, REQUESTS
from midstage.eventlog.codec import Decoder
from midstage.eventlog.log import Message, Partition, Record
from midstage.testkit.clock import FrozenClock

BARE = {"app": "ocr", "customer": "acme", "status": 200, "outcome": "ok", "duration_ms": 12.5}
FULL = {
    "specversion": "1.0",
    "id": "r-1",
    "source": "batch/7",
    "type": REQUEST_COMPLETED,
    "time": "2026-01-31T12:00:00Z",
    "data": BARE,
}


def reading() -> Reading:
    ids = count(1)
    filling = Filling(source="cli/here", now=FrozenClock().now, new_id=lambda: f"new-{next(ids)}")
    return Reading(filling)


def sent(line: Mapping[str, object]) -> tuple[Message, dict[str, Any]]:
    message = reading()(json.dumps(line).encode())
    return message, json.loads(message.value or b"")


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in FULL.items() if key != name}


def test_a_full_event_goes_as_it_is() -> None:
    message, document = sent(FULL)
    assert document == FULL
    assert (message.topic, message.key) == (REQUESTS.name, b"batch/7")
    assert message.headers == (("content-type", b"application/cloudevents+json"),)


@pytest.mark.parametrize(
    ("gap", "filled"),
    [
        ("id", "new-1"),
        ("source", "cli/here"),
        ("time", "2026-01-01T12:00:00Z"),
        ("specversion", "1.0"),
        ("type", REQUEST_COMPLETED),
    ],
)
def test_what_an_event_leaves_out_is_filled_in(gap: str, filled: str) -> None:
    _, document = sent(without(gap))
    assert document == {**FULL, gap: filled}


def test_bare_request_data_becomes_an_event() -> None:
    message, document = sent(BARE)
    assert document["data"] == BARE
    assert (document["id"], document["source"]) == ("new-1", "cli/here")
    place = Partition(topic=REQUESTS.name, number=0)
    record = Record(
        partition=place, offset=0, key=None, value=message.value, headers=message.headers
    )
    event = Decoder(REQUESTS)(record)
    assert event.data == RequestCompleted(
        app="ocr", customer="acme", status=200, outcome=Outcome.OK, duration_ms=12.5
    )
    assert event.seq is None


def test_bare_data_may_name_its_id_time_and_source() -> None:
    _, document = sent({**BARE, "id": "r-1", "source": "s", "time": "2026-01-31T12:00:00Z"})
    assert (document["id"], document["source"]) == ("r-1", "s")
    assert document["data"] == BARE


def test_unknown_fields_are_kept() -> None:
    _, document = sent({**FULL, "tenantid": "x", "data": {**BARE, "gpu": "a100", "big": 2**70}})
    assert document["tenantid"] == "x"
    assert (document["data"]["gpu"], document["data"]["big"]) == ("a100", 2**70)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe{}", "not"),
        (b"[" * 100_000, "not a JSON object"),
        (json.dumps({**BARE, "app": ""}).encode(), "app"),
        (json.dumps({**BARE, "outcome": "fine"}).encode(), "outcome"),
        (json.dumps({**BARE, "time": "noon"}).encode(), "time"),
        (json.dumps({**BARE, "time": "2026-01-31T12:00:00"}).encode(), "time"),
        (json.dumps({**FULL, "data": {**BARE, "status": "x"}}).encode(), "status"),
        (json.dumps({**FULL, "type": "dev.midstage.other"}).encode(), "is unknown in"),
        (json.dumps({**FULL, "specversion": "0.3"}).encode(), "specversion '0.3'"),
        (json.dumps({**FULL, "midstageseq": "0" * 19 + "1"}).encode(), "leave it out"),
        (json.dumps({**FULL, "source": "edges/e/f"}).encode(), "is an edge's own"),
        (json.dumps({**BARE, "usage": {"images": -1}}).encode(), "usage of images"),
        (json.dumps({**BARE, "usage": {"images": 1e-7}}).encode(), "more than six decimals"),
        (json.dumps({**BARE, "labels": {"a": "x" * EVENT_BYTES}}).encode(), "above the limit"),
    ],
)
def test_what_would_be_a_dead_letter_is_refused_here(line: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        reading()(line)


def test_lines_are_named_by_their_number_and_blank_ones_passed_over() -> None:
    lines = [json.dumps(BARE).encode(), b"\n", b"nonsense\n", b"  ", json.dumps(FULL).encode()]
    found = read(lines, reading())
    assert len(found.messages) == 2
    assert [number for number, _ in found.refused] == [3]


@given(st.binary(max_size=64) | st.text().map(str.encode))
def test_no_line_breaks_the_reading(line: bytes) -> None:
    found = read([line], reading())
    assert len(found.messages) + len(found.refused) <= 1
    assert not found.messages


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*FULL, *BARE, "usage", "midstageseq"]), anything))
def test_no_object_breaks_the_reading(line: dict[str, object]) -> None:
    found = read([json.dumps(line).encode()], reading())
    assert len(found.messages) + len(found.refused) == 1
