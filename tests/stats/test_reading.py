"""What is believed: an edge's word with its signature, and events that can be counted exactly."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from midstage.chassis.keys import edge_keys
from midstage.contracts import signature
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event
from midstage.contracts.metered import METERED, Metered
from midstage.contracts.requests import Outcome
from midstage.contracts.topics import EDGES, REQUESTS
from midstage.eventlog.codec import encode, message
from midstage.eventlog.log import Message, Partition, Record
from midstage.stats.main import Topics
from midstage.stats.model import Arrivals, Beaten, Ended
from midstage.stats.stream.reading import Reading
from midstage.stats.stream.signed import GROUP

from .conftest import KEY, NOON, Edge, request

EDGE = Edge(topics=Topics())
SEVENS = bytes([7] * 32)


def read(*messages: Message, keys: Mapping[str, bytes] | None = None) -> Arrivals:
    held = {"edge-1": KEY, "edge-2": SEVENS} if keys is None else keys
    reading = Reading(requests=REQUESTS, edges=EDGES, keys=lambda: held, now=lambda: NOON)
    return all_of(reading, *messages)


def all_of(reading: Reading, *messages: Message) -> Arrivals:
    """What they say; the first that is put aside is raised."""

    def put(_: Record, reason: str) -> None:
        raise PutAsideError(reason)

    return reading([record_of(one) for one in messages], put)


class PutAsideError(Exception):
    """A record went to the dead letters."""


def counts(one: Message) -> bool:
    return len(read(one).rows) == 1


def record_of(one: Message) -> Record:
    place = Partition(topic=one.topic, number=0)
    return Record(partition=place, offset=0, key=one.key, value=one.value, headers=one.headers)


def unnumbered(value: bytes) -> Message:
    headers = (("content-type", b"application/cloudevents+json"),)
    return Message(topic=REQUESTS.name, key=None, value=value, headers=headers)


def with_data(**changed: object) -> Message:
    plain = json.loads(encode(request("jobs", None, event_id="x")))
    plain["data"].update(changed)
    return unnumbered(json.dumps(plain).encode())


def test_a_signed_line_counts() -> None:
    rows = read(EDGE.line(1)).rows
    assert (list(rows.source), rows.seq.tolist()) == (["edges/edge-1/a"], [1])
    assert rows.usage.of(0) == {"requests": 1_000_000, "input_tokens": 3_000_000}
    assert rows.billed.tolist() == [True]


@pytest.mark.parametrize(
    ("customer", "outcome", "billed"),
    [
        ("acme", Outcome.OK, True),
        ("acme", Outcome.CANCELLED, True),
        ("acme", Outcome.ERROR, False),
        ("acme", Outcome.INVALID, False),
        ("acme", Outcome.REFUSED, False),
        ("unknown", Outcome.OK, False),
    ],
)
def test_units_are_billed_for_what_was_delivered_to_a_known_customer(
    customer: str, outcome: Outcome, billed: bool
) -> None:
    rows = read(EDGE.line(1, customer=customer, outcome=outcome)).rows
    assert rows.billed.tolist() == [billed]
    assert rows.usage.of(0)


def test_settings_can_bill_errors_too() -> None:
    reading = Reading(
        requests=REQUESTS,
        edges=EDGES,
        keys=lambda: {"edge-1": KEY},
        now=lambda: NOON,
        billed=frozenset({Outcome.ERROR}),
    )
    found = all_of(reading, EDGE.line(1, outcome=Outcome.ERROR), EDGE.line(2))
    assert found.rows.billed.tolist() == [True, False]


def test_a_heartbeat_and_a_closing_fact_are_heard() -> None:
    beaten, ended = read(EDGE.beat(4), EDGE.closed(4)).said
    assert isinstance(beaten, Beaten)
    assert isinstance(ended, Ended)


@pytest.mark.parametrize("said", ["line", "beat", "closed"])
def test_a_word_without_the_edges_own_signature_is_unreadable(said: str) -> None:
    forger = replace(EDGE, key=SEVENS)
    forged = {"line": forger.line(1), "beat": forger.beat(1), "closed": forger.closed(1)}[said]
    with pytest.raises(PutAsideError, match="signature"):
        read(forged)
    with pytest.raises(PutAsideError, match="signature"):
        read(structs.replace(forged, headers=forged.headers[:1]))


def test_an_edge_can_not_number_for_another_edge() -> None:
    stolen = request("edges/edge-1/a", 1)
    forged = message(stolen, topic=REQUESTS.name, key=stolen.source, signing_key=SEVENS)
    with pytest.raises(PutAsideError, match="edge-1"):
        read(forged)


def test_an_edge_can_not_speak_for_another_edge() -> None:
    mine = replace(EDGE, name="edge-2", key=SEVENS).beat(1)
    value = (mine.value or b"").replace(b'"edge":"edge-2"', b'"edge":"edge-1"')
    mac = signature.sign(key=SEVENS, source="edges/edge-2/a", value=value)
    forged = structs.replace(mine, value=value, headers=(mine.headers[0], (signature.HEADER, mac)))
    assert value != mine.value
    with pytest.raises(PutAsideError, match="speaks for"):
        read(forged)


def test_a_number_outside_of_the_signed_body_is_not_believed() -> None:
    """In binary mode the number is a header, and a true body could be given any number."""
    fact = request("edges/edge-1/a", 1).data
    value = msgspec.json.encode(fact)
    attributes = {
        "specversion": "1.0",
        "id": "x",
        "source": EDGE.source,
        "type": "dev.midstage.request.completed.v1",
        "time": NOON.isoformat(),
        "midstageseq": "0" * 19 + "9",
    }
    headers = (
        ("content-type", b"application/json"),
        *((f"ce_{name}", text.encode()) for name, text in attributes.items()),
        (signature.HEADER, signature.sign(key=KEY, source=EDGE.source, value=value)),
    )
    with pytest.raises(PutAsideError, match="structured"):
        read(Message(topic=REQUESTS.name, key=None, value=value, headers=headers))


def test_a_number_of_a_source_that_is_no_edge_is_unreadable() -> None:
    event = request("jobs", 1)
    with pytest.raises(PutAsideError, match="jobs"):
        read(message(event, topic=REQUESTS.name, key="jobs", signing_key=KEY))


def test_an_event_without_a_number_that_names_an_edge_needs_its_signature_too() -> None:
    assert counts(EDGE.line(None))
    with pytest.raises(PutAsideError, match="signature"):
        read(structs.replace(EDGE.line(None), headers=EDGE.line(None).headers[:1]))


def test_an_event_without_a_number_of_anyone_else_counts_unsigned() -> None:
    assert counts(unnumbered(encode(request("jobs", None))))


@pytest.mark.parametrize(
    "changed",
    [
        {"usage": {"input_tokens": -1}},
        {"usage": {"input_tokens": 0.0000001}},
        {"usage": {"input_tokens": 1e13}},
        {"usage": {"input_tokens": "3"}},
        {"bytes_in": 2**64},
        {"duration_ms": 1e300},
        {"duration_ms": -1},
        {"customer": ""},
        {"outcome": "fine"},
        {"status": 2000},
    ],
)
def test_what_can_not_be_counted_exactly_is_unreadable(changed: dict[str, object]) -> None:
    with pytest.raises(PutAsideError):
        read(with_data(**changed))


def test_the_unchanged_event_of_these_cases_is_readable() -> None:
    assert counts(with_data())


def test_a_time_far_ahead_is_unreadable_and_any_past_is_believed() -> None:
    def at(**ahead: float) -> Message:
        return EDGE.line(1, time=NOON + timedelta(**ahead))

    assert counts(at(hours=23.9))
    assert counts(at(days=-4000))
    with pytest.raises(PutAsideError, match="24 h ahead"):
        read(at(hours=24.1))


def test_what_is_readable_of_a_chunk_is_read_and_the_rest_is_put_aside() -> None:
    reading = Reading(
        requests=REQUESTS, edges=EDGES, keys=lambda: {"edge-1": KEY}, now=lambda: NOON
    )
    aside: list[tuple[bytes | None, str]] = []
    forged = replace(EDGE, key=SEVENS).line(3)
    lines = [EDGE.line(2), forged, with_data(customer="x"), with_data(customer=""), EDGE.line(1)]
    found = reading(
        [record_of(one) for one in lines],
        lambda record, reason: aside.append((record.value, reason)),
    )
    assert found.rows.seq.tolist() == [2, 1, 0]
    assert list(found.rows.customer) == ["acme", "acme", "x"]
    assert [value for value, _ in aside] == [forged.value, lines[3].value]


def test_every_line_of_two_groups_is_read_once_and_what_is_forged_is_put_aside() -> None:
    reading = Reading(
        requests=REQUESTS, edges=EDGES, keys=lambda: {"edge-1": KEY}, now=lambda: NOON
    )
    lines = [EDGE.line(number) for number in range(1, GROUP + 10)]
    for number in (2, GROUP, GROUP + 1, GROUP + 5):
        lines[number - 1] = replace(EDGE, key=SEVENS).line(number)
    aside: list[bytes | None] = []
    records = [record_of(one) for one in lines]
    found = reading(records, lambda record, _: aside.append(record.value))
    forged = [lines[number - 1].value for number in (2, GROUP, GROUP + 1, GROUP + 5)]
    assert aside == forged
    expected = [n for n, line in enumerate(lines, 1) if line.value not in set(forged)]
    assert found.rows.seq.tolist() == expected
    assert list(found.rows.id) == [f"edges/edge-1/a/{number}" for number in expected]


def test_each_column_has_what_an_unsigned_event_says_of_it() -> None:
    rows = read(with_data(duration_ms=9, queue_ms=5, ttft_ms=7, bytes_in=3, bytes_out=4)).rows
    columns = (rows.duration_ms, rows.queue_ms, rows.ttft_ms, rows.bytes_in, rows.bytes_out)
    assert [column.tolist() for column in columns] == [[9], [5], [7], [3], [4]]


def test_what_was_metered_is_a_row_without_an_outcome_and_all_its_units_count() -> None:
    said = Metered(customer="acme", units={"stored_gb": 2.5}, labels={"team": "ocr"}, ref="r")
    event = Event(id="x", source="jobs", type=METERED, time=NOON, data=said)
    rows = read(message(event, topic=REQUESTS.name, key="jobs")).rows
    assert (list(rows.kind), list(rows.outcome), rows.billed.tolist()) == (
        ["metered"],
        [""],
        [True],
    )
    assert (rows.usage.of(0), rows.labels.of(0)) == ({"stored_gb": 2_500_000}, {"team": "ocr"})


def test_a_fact_of_the_other_topic_is_unreadable() -> None:
    with pytest.raises(PutAsideError, match="unknown"):
        read(structs.replace(EDGE.beat(1), topic=REQUESTS.name))


NUMBERS = st.one_of(
    st.integers(0, 10**13), st.floats(0, 1e13), st.decimals(0, 10**11, places=6).map(float)
)
SAID = st.fixed_dictionaries(
    {
        "usage": st.dictionaries(st.sampled_from(["a", "b", ""]), NUMBERS, max_size=2),
        "duration_ms": st.floats(0, 2e10),
        "outcome": st.sampled_from([*Outcome, "fine"]),
        "customer": st.sampled_from(["acme", "unknown"]),
        "bytes_in": st.sampled_from([0, 2**62, 2**63, 2**64]),
        "labels": st.dictionaries(st.sampled_from("xy"), st.text(max_size=2), max_size=2),
    }
)
TIMES = st.datetimes(
    min_value=NOON.replace(tzinfo=None, year=1900),
    max_value=NOON.replace(tzinfo=None, year=2150),
    timezones=st.timezones(),
)


@settings(deadline=None)
@given(SAID, TIMES, st.sampled_from(["1", "01", "-1", "x", "9" * 20, str(2**62), "\u0661"]))
def test_the_plain_way_and_the_careful_way_say_the_same(
    said: dict[str, object], time: datetime, seq: str
) -> None:
    """The careful way is taken where the headers stand in another order; nothing else differs."""
    plain = json.loads(EDGE.line(1).value or b"")
    plain["data"].update(said)
    plain["midstageseq"] = seq.rjust(20, "0")
    plain["time"] = time.isoformat()
    value = json.dumps(plain).encode()
    mac = signature.sign(key=KEY, source=EDGE.source, value=value)
    headers = (EDGE.line(1).headers[0], (signature.HEADER, mac))
    quick = Message(topic=REQUESTS.name, key=None, value=value, headers=headers)
    assert told(quick) == told(structs.replace(quick, headers=headers[::-1]))


def told(one: Message) -> object:
    """All that the reader makes of it."""
    try:
        rows = read(one).rows
    except PutAsideError:
        return "put aside"
    columns = {field.name: getattr(rows, field.name) for field in fields(rows)}
    parts = {"usage": rows.usage.of(0), "labels": rows.labels.of(0)}
    return {
        name: str(parts.get(name, list(column)))
        for name, column in columns.items()
        if name not in parts
    } | {name: str(part) for name, part in parts.items()}


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_stop_the_reader(noise: bytes, appended: bool) -> None:
    true = encode(request("jobs", None))
    value = true[: len(true) // 2] + noise if appended else noise
    with pytest.raises(PutAsideError):
        read(unnumbered(value))


def test_keys_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    _write(file, {"edge-1": KEY})
    keys = edge_keys(file)
    assert keys() == {"edge-1": KEY}
    _write(file, {"edge-2": SEVENS})
    assert keys() == {"edge-2": SEVENS}


def test_a_key_file_that_can_not_be_used_says_why(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(UnavailableError, match=r"keys\.json"):
        edge_keys(file)
    _write(file, {"edge-1": KEY})
    keys = edge_keys(file)
    file.chmod(0o644)
    file.write_text('{"edge-1": "00"}')
    with pytest.raises(UnavailableError, match="chmod 600"):
        keys()
    file.chmod(0o600)
    with pytest.raises(UnavailableError, match="can't be read"):
        keys()


def _write(file: Path, keys: Mapping[str, bytes]) -> None:
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({edge: key.hex() for edge, key in keys.items()}))
    draft.chmod(0o600)
    draft.replace(file)
