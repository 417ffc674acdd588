"""The quick way takes no record that the careful way would not; what it takes it reads alike."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from midstage.contracts import signature
from midstage.contracts.requests import BILLED
from midstage.contracts.topics import EDGES, EVENT_BYTES, REQUESTS
from midstage.eventlog.log import Partition, Record
from midstage.stats.main import Topics
from midstage.stats.stream.signed import Signed

from .conftest import KEY, NOON, Edge

EDGE = Edge(topics=Topics())
KEYS = {"edge-1": KEY}
LONG = bytes(100)
PLACE = Partition(topic=REQUESTS.name, number=0)


def line(*, data: Mapping[str, object] | None = None, key: bytes = KEY, **said: object) -> Record:
    """A line of the edge with other words, as whoever has ``key`` signs it."""
    plain = json.loads(EDGE.line(1, duration_ms=9.0, queue_ms=5.0, ttft_ms=7.0).value or b"")
    plain |= said
    plain["data"] |= data or {}
    value = json.dumps(plain).encode()
    mac = signature.sign(key=key, source=plain["source"], value=value)
    headers = (EDGE.line(1).headers[0], (signature.HEADER, mac))
    return Record(partition=PLACE, offset=0, key=None, value=value, headers=headers)


def forged(mac: bytes = b"0" * 64, *, source: str = EDGE.source) -> Record:
    one = line(source=source)
    return replace(one, headers=(one.headers[0], (signature.HEADER, mac)))


def taken(
    *records: Record, by: Signed | None = None, keys: Mapping[str, bytes] = KEYS
) -> list[int]:
    """Numbers of the lines that are taken; whatever is not is left over."""
    quick = by or Signed(topic=REQUESTS.name, billed=BILLED)
    parts, left = quick(records, keys=keys, latest=NOON + timedelta(minutes=5))
    found = [number for rows in parts for number in rows.seq.tolist()]
    assert len(found) + len(left) == len(records)
    return found


def named(one: Record, name: str) -> Record:
    return replace(one, headers=(one.headers[0], (name, one.headers[1][1])))


LARGE = "x" * EVENT_BYTES
CAREFUL = {
    "of nobody": forged(source="edges/ghost/a"),
    "of no edge": forged(source="jobs"),
    "with another signature": forged(),
    "in the name of another source": forged(line().headers[1][1], source="edges/edge-1/b"),
    "under another header": named(line(), "ms-other"),
    "on another topic": replace(line(), partition=Partition(topic=EDGES.name, number=0)),
    "too large": line(data={"labels": {"x": LARGE}}),
    "without its number": line(midstageseq="0" * 20),
    "above all numbers": line(midstageseq=f"{2**62 + 1:020d}"),
    "of twenty digits": line(midstageseq="1" + "0" * 18 + "1"),
    "ahead of time": line(time="2026-01-01T12:05:00.000001Z"),
    "of half a micro-unit": line(data={"usage": {"t": 0.0000005}}),
    "beyond what a float tells": line(data={"usage": {"t": 2**53 / 10**6 + 0.5}}),
    "of fewer than no units": line(data={"usage": {"t": -1.0}}),
    "of too many units": line(data={"usage": {"t": 10**12 + 1}}),
    "of months": line(data={"duration_ms": 1.0001e10}),
    "waiting for months": line(data={"queue_ms": 1.0001e10}),
    "of months to the first token": line(data={"ttft_ms": 1.0001e10}),
    "of too many bytes in": line(data={"bytes_in": 2**62 + 1}),
    "of too many bytes out": line(data={"bytes_out": 2**62 + 1}),
}


@pytest.mark.parametrize("name", CAREFUL)
def test_what_is_not_plain_is_left_and_spoils_no_other(name: str) -> None:
    assert taken(line(), CAREFUL[name], line(midstageseq=f"{2:020d}")) == [1, 2]


def test_what_is_just_within_bounds_is_taken() -> None:
    assert taken(
        line(midstageseq=f"{2**62:020d}"),
        line(time="2026-01-01T12:05:00Z"),
        line(data={"usage": {"t": 10**12, "z": 0, "m": 0.000001}}),
        line(data={"duration_ms": 1e10, "bytes_in": 2**62, "bytes_out": 2**62}),
    ) == [2**62, 1, 1, 1]


def test_a_key_counts_as_long_as_it_is_held_however_long_it_is() -> None:
    quick, new = Signed(topic=REQUESTS.name, billed=BILLED), bytes(32)
    assert taken(line(), by=quick) == [1]
    assert taken(line(), line(key=new), by=quick, keys={"edge-1": new}) == [1]
    assert taken(line(), by=quick, keys={"edge-1": new}) == []
    assert taken(line(key=LONG), keys={"edge-1": LONG}) == [1]


def test_each_column_has_what_is_said_of_it() -> None:
    (rows,), _ = Signed(topic=REQUESTS.name, billed=BILLED)(
        [line(data={"bytes_in": 3, "bytes_out": 4})], keys=KEYS, latest=NOON
    )
    times = (rows.duration_ms, rows.queue_ms, rows.ttft_ms)
    assert [column.tolist() for column in times] == [[9.0], [5.0], [7.0]]
    assert (rows.bytes_in.tolist(), rows.bytes_out.tolist()) == ([3], [4])
