"""Up to each limit a body is taken, behind it refused: 413 where it is only too much at once."""

import gzip
import json
import re
import time
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from fastapi.testclient import TestClient

from midstage.contracts.errors import RefusedError
from midstage.contracts.topics import EVENT_BYTES
from midstage.stats.api.encodings import BODY_BYTES, decoded
from midstage.stats.stream.incoming.documents import DEEPEST
from midstage.stats.views.ingest import MOST_EVENTS

from .conftest import Bench
from .posting import DATA, MANY, ONE, Ways, event, refused, with_data

zstd = zstandard.ZstdCompressor().compress
MIB = 1024 * 1024
FORMS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("zstd", zstd),
]


def grown(body: object, size: int) -> bytes:
    """The body in exactly so many bytes."""
    return json.dumps(body).encode().ljust(size)


def test_the_limits_are_those_that_the_guide_names() -> None:
    assert (EVENT_BYTES, BODY_BYTES, MOST_EVENTS, DEEPEST) == (MIB, 4 * MIB, 10_000, 16)


@pytest.mark.parametrize(("encoding", "compress"), FORMS)
def test_a_body_has_at_most_four_mebibytes_as_it_is_and_decompressed(
    way: Ways, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    fits, above = (compress(grown([event("a")], 4 * MIB + more)) for more in (0, 1))
    assert way.post(fits, MANY, content_encoding=encoding).status_code == 204
    answer = way.post(above, MANY, content_encoding=encoding)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    said = "the body is larger than 4194304 bytes; nothing was taken, send less at once"
    assert answer.json()["detail"] == said
    assert way.ids() == ["a"]


def test_an_event_has_at_most_one_mebibyte(way: Ways) -> None:
    assert way.post(grown(event("a"), MIB)).status_code == 204
    assert refused(way.post(grown(event("b"), MIB + 1))) == (0, "")
    large = event("c", subject="x" * MIB)
    answer = way.post([event("b"), large], MANY)
    assert refused(answer) == (1, "")
    assert "1048576" in answer.json()["errors"][0]["detail"]
    assert way.ids() == ["a"]


@pytest.mark.slow
def test_a_body_has_at_most_ten_thousand_events(way: Ways) -> None:
    events = [event(str(number)) for number in range(MOST_EVENTS + 1)]
    answer = way.post(events, MANY)
    assert answer.status_code == 413
    assert "10001 events are more than 10000; send less at once" in answer.json()["detail"]
    assert way.records() == []
    assert way.post(events[1:], MANY).status_code == 204
    assert len(way.records()) == MOST_EVENTS


def test_of_many_faults_twenty_are_named(way: Ways) -> None:
    answer = way.post([event(str(number), time="yesterday") for number in range(30)], MANY)
    assert [one["index"] for one in answer.json()["errors"]] == list(range(20))


def test_what_became_of_events_is_counted(way: Ways) -> None:
    good, bad = event("a"), event("b", time="yesterday")
    way.post([good, good, bad], MANY)
    assert counted(way) == {"accepted": 0, "known": 0, "refused": 1}
    way.post([good, good], MANY)
    way.post([good, bad, bad], MANY, query="?detail=true")
    assert counted(way) == {"accepted": 3, "known": 0, "refused": 3}


def counted(way: Ways) -> dict[str, float]:
    found = {"accepted": 0.0, "known": 0.0, "refused": 0.0}
    for line in way.client.get("/metrics").text.splitlines():
        said = re.fullmatch(r'midstage_stats_posted_total\{state="(\w+)"\} (.*)', line)
        if said is not None:
            found[said[1]] = float(said[2])
    return found


def test_nothing_is_nested_deeper_than_sixteen(way: Ways) -> None:
    def nested(lists: int) -> dict[str, object]:
        within: object = 1
        for _ in range(lists):
            within = [within]
        return with_data(x=within)

    assert way.post(nested(14)).status_code == 204  # in data, in the event
    index, pointer = refused(way.post(nested(15)))
    assert (index, pointer) == (0, "/data/x" + 14 * "/0")


def test_names_have_at_most_256_characters(way: Ways) -> None:
    assert way.post(event("i" * 256, source="s" * 256)).status_code == 204
    for name in ("id", "source"):
        for text in ("", "x" * 257):
            answer = way.post(event(**{name: text}))
            assert refused(answer) == (0, f"/{name}")
            assert "not 1 to 256 characters" in answer.json()["detail"]


def test_units_go_up_to_a_million_millions(way: Ways) -> None:
    assert way.post(with_data(usage={"x": 10**12, "y": 0, "z": 0.000001})).status_code == 204
    for amount in (10**12 + 1, 1e12 + 1, -0.000001, 0.0000015):
        assert refused(way.post(with_data(usage={"x": amount}))) == (0, "/data/usage/x")


def test_of_several_zstd_frames_all_is_taken_and_nothing_half(way: Ways) -> None:
    """Whoever flushes while it compresses may write several."""
    whole = json.dumps([event("a"), event("b")]).encode()
    skipped = b"\x50\x2a\x4d\x18\x02\x00\x00\x00no"
    body = skipped + zstd(whole[:20]) + zstd(whole[20:])
    assert way.post(body, MANY, content_encoding="zstd").status_code == 204
    assert way.ids() == ["a", "b"]
    more = zstd(json.dumps(event("c")).encode())
    for tail in (b"garbage", zstd(b"[]"), more[:-1] + b"?"):
        assert way.post(more + tail, ONE, content_encoding="zstd").status_code == 400
    assert way.post(more[:-5], ONE, content_encoding="zstd").status_code == 400
    assert way.ids() == ["a", "b"]


def test_of_a_cut_or_continued_gzip_body_nothing_is_taken(way: Ways) -> None:
    """Although the event is whole in it: its checksum is what says that it is what was sent."""
    whole = gzip.compress(json.dumps(event("a")).encode())
    more = gzip.compress(b" ")
    for body in (whole[:-1], whole[:-8], whole + b"?" * 20, whole + more[:-1], whole + more[:3]):
        answer = way.post(body, content_encoding="gzip")
        assert answer.status_code == 400
        assert "gzip" in answer.json()["detail"]
    assert way.records() == []


def test_of_several_gzip_members_all_is_taken_and_no_more_than_fits(way: Ways) -> None:
    """As they come out of `cat a.gz b.gz`, of bgzip, and of who flushes while it compresses."""
    whole = grown([event("a"), event("b")], 4 * MIB)
    for size in (7, 4096, MIB):  # within the pieces that are read, and beyond them
        parts = [whole[:size], b"", whole[size:]]
        body = b"".join(gzip.compress(part) for part in parts)
        assert decoded(body, "gzip") == whole
        assert way.post(body, MANY, content_encoding="x-gzip").status_code == 204
        answer = way.post(body + gzip.compress(b" "), MANY, content_encoding="gzip")
        assert answer.status_code == 413
    assert way.ids() == ["a", "a", "a", "b", "b", "b"]


def test_a_body_of_nothing_but_empty_members_costs_little() -> None:
    """Each is made ready for, and none may copy the rest of the body."""
    empty = gzip.compress(b"")
    begun = time.process_time()
    assert decoded(empty * (4 * MIB // len(empty)), "gzip") == b""
    assert time.process_time() - begun < 30  # each a copy of the rest: several minutes


@pytest.mark.parametrize(("encoding", "compress"), FORMS[1:])
def test_a_bomb_is_not_blown_up(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(64 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError, match="send less at once"):
            decoded(bomb, encoding)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16 * MIB


def test_a_zstd_body_that_needs_much_memory_to_be_read_is_refused(way: Ways) -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    body = stream.compress(json.dumps(event("a")).encode()) + stream.flush()
    answer = way.post(body, content_encoding="zstd")
    assert (answer.status_code, "not zstd" in answer.json()["detail"]) == (400, True)


def test_the_service_takes_as_much_at_once_as_the_way_in_does(bench: Bench) -> None:
    client = TestClient(bench.start().app)
    headers = {"authorization": "Bearer secret", "content-type": MANY}
    fits = grown([event("a", data={**DATA, "labels": {"x": "y" * 500}})], 4 * MIB)
    assert client.post("/v1/events", content=fits, headers=headers).status_code == 204
    above = client.post("/v1/events", content=fits + b" ", headers=headers)
    assert above.status_code == 413
