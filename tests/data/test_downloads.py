"""Downloads: made once from a snapshot, resumed by range, never changed, gone in time."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import duckdb
import httpx
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from fastapi.testclient import TestClient

from midstage.data.main import Service
from midstage.eventlog.failpoint import nothing
from midstage.testkit.clock import NOON

from .conftest import HOUR, SECOND, Bench, client
from .test_keeping import CrashError, Crashing

ROWS = 40


@pytest.fixture
def service(bench: Bench) -> Service:
    """Forty records of two hours, the first hour in a part; every second one is of ``ocr``."""
    bench.changed = {"part_rows": 7}
    edge = bench.edge()
    bench.write(
        *(
            edge.line(n, ref=f"{n}", time=NOON + n * 2.2 * 60 * SECOND, app=["chat", "ocr"][n % 2])
            for n in range(1, ROWS + 1)
        )
    )
    service = bench.caught_up()
    bench.clock.advance(65 * 60 * SECOND + HOUR / 4)
    service.closing.turn()
    assert client(service).get("/v1/status").json()["staged_rows"] in range(1, ROWS)
    return service


def asked(service: Service, *, key: str = "k", **body: object) -> dict[str, object]:
    answer = client(service).post(
        "/v1/downloads", json={"format": "jsonl", **body}, headers={"idempotency-key": key}
    )
    assert answer.status_code == 202, answer.text
    found: dict[str, object] = answer.json()
    assert answer.headers["location"] == f"/v1/downloads/{found['id']}"
    return found


def shown(service: Service, download: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = client(service).get(f"/v1/downloads/{download['id']}").json()
    return found


def made(service: Service, *, key: str = "k", **body: object) -> dict[str, object]:
    download = asked(service, key=key, **body)
    service.making.turn()
    return shown(service, download)


def file(
    service: Service, download: dict[str, object], method: str = "GET", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: httpx.Response = client(service).request(
        method, f"/v1/downloads/{download['id']}/file", headers=named
    )
    return answer


def test_lines_are_the_records_as_they_are_shown(service: Service) -> None:
    download = made(service, filters={"app": "ocr", "from": "2026-01-01T12:10:00Z"})
    content = file(service, download).content
    pages = client(service).get("/v1/records?app=ocr&from=2026-01-01T12:10:00Z").json()
    assert [json.loads(line) for line in content.splitlines()] == pages["records"]
    assert download["state"] == "ready"
    assert download["rows"] == download["rows_total"] == len(pages["records"])
    assert download["bytes"] == len(content)
    assert download["sha256"] == hashlib.sha256(content).hexdigest()
    assert download["filters"] == {"app": "ocr", "from": "2026-01-01T12:10:00Z"}
    offsets = [record["offset"] for record in pages["records"]]
    (partition,) = {f"{record['partition']}" for record in pages["records"]}
    assert download["offsets"] == {partition: {"first": min(offsets), "last": max(offsets)}}
    assert isinstance(download["read_until"], dict)
    assert download["read_until"][partition] == ROWS


def test_parquet_is_read_by_pyarrow_and_duckdb(service: Service, tmp_path: Path) -> None:
    download = made(service, format="parquet")
    path = tmp_path / "records.parquet"
    path.write_bytes(file(service, download).content)
    table = pq.read_table(path)
    assert table["ref"].to_pylist() == [f"{n}" for n in range(1, ROWS + 1)]
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    query = f"SELECT sum(usage['input_tokens']) FROM '{path}'"
    ((tokens,),) = duckdb.connect().execute(query).fetchall()
    assert tokens == 3 * ROWS
    assert (download["rows"], download["bytes"]) == (ROWS, path.stat().st_size)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_nothing_matches_is_an_empty_file_of_its_form(
    service: Service, tmp_path: Path, form: str
) -> None:
    for filters in ({"app": "nothing"}, {"from": "2030-01-01T00:00:00Z"}):
        download = made_as(service, form, filters)
        assert (download["state"], download["rows"]) == ("ready", 0)
        content = file(service, download).content
        if form == "jsonl":
            assert content == b""
        else:
            (tmp_path / "empty.parquet").write_bytes(content)
            assert pq.read_table(tmp_path / "empty.parquet").num_rows == 0


def made_as(service: Service, form: str, filters: dict[str, str]) -> dict[str, object]:
    key = hashlib.sha256(json.dumps([form, filters]).encode()).hexdigest()
    return made(service, key=key, format=form, filters=filters)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_download_broken_off_anywhere_is_resumed_to_identical_bytes(
    service: Service, form: str
) -> None:
    download = made(service, format=form)
    whole = file(service, download)
    etag = whole.headers["etag"]
    assert etag == f'"{download["sha256"]}"'
    assert whole.headers["accept-ranges"] == "bytes"
    for at in (1, len(whole.content) // 2, len(whole.content) - 1):
        rest = file(service, download, range=f"bytes={at}-", if_range=etag)
        assert rest.status_code == 206
        assert (
            rest.headers["content-range"]
            == f"bytes {at}-{len(whole.content) - 1}/{len(whole.content)}"
        )
        assert rest.headers["etag"] == etag
        assert whole.content[:at] + rest.content == whole.content


def test_ranges_are_answered_as_http_wants_it(service: Service) -> None:
    download = made(service)
    content = file(service, download).content
    size = len(content)
    head = file(service, download, "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", f"{size}")
    assert file(service, download, range="bytes=0-9").content == content[:10]
    assert file(service, download, range="bytes=-7").content == content[-7:]
    assert file(service, download, range=f"bytes=5-{size + 99}").content == content[5:]
    beyond = file(service, download, range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert file(service, download, range="bytes=-0").status_code == 416
    changed = file(service, download, range="bytes=5-", if_range='"another"')
    assert (changed.status_code, changed.content) == (200, content)
    weak = f'W/"{download["sha256"]}"'
    assert file(service, download, range="bytes=5-", if_range=weak).status_code == 200
    parts = file(service, download, range="bytes=0-1,5-6")
    assert parts.status_code == 206
    assert parts.headers["content-type"].startswith("multipart/byteranges")


def test_the_bytes_stay_when_records_arrive_and_over_a_restart(
    bench: Bench, service: Service
) -> None:
    download = made(service)
    content = file(service, download).content
    bench.write(bench.edge().line(ROWS + 1))
    again = bench.caught_up()
    again.closing.turn()
    again.making.turn()
    assert shown(again, download) == download
    assert file(again, download).content == content
    assert asked(again) == download, "the same key is the same download"


def test_a_download_in_work_shows_how_far_it_is(service: Service) -> None:
    download = asked(service)
    assert (download["state"], download["rows_total"]) == ("waiting", None)
    refused = file(service, download)
    assert refused.status_code == 409
    assert "not ready yet" in refused.json()["detail"]


@pytest.mark.parametrize("place", ["download:written", "download:renamed"])
def test_a_crash_while_it_is_made_makes_it_anew(bench: Bench, service: Service, place: str) -> None:
    asked(service)
    bench.reached = Crashing(place)
    with pytest.raises(CrashError, match=place):
        bench.caught_up().making.turn()
    bench.reached = nothing
    again = bench.caught_up()
    (waiting,) = client(again).get("/v1/downloads").json()["downloads"]
    assert waiting["state"] == "waiting"
    again.making.turn()
    ready = shown(again, waiting)
    assert hashlib.sha256(file(again, waiting).content).hexdigest() == ready["sha256"]
    folder = bench.settings().directory / "downloads"
    assert {path.suffix for path in folder.iterdir()} == {".json", ".jsonl"}


def test_a_process_that_stops_leaves_it_to_the_next_one(bench: Bench, service: Service) -> None:
    download = asked(service)
    answers = iter([False] * 3)
    service.making.turn(lambda: next(answers, True))
    assert shown(service, download)["state"] == "waiting"
    again = bench.caught_up()
    again.making.turn()
    assert shown(again, download)["rows"] == ROWS


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_one_that_grows_too_large_fails_and_says_why(bench: Bench, form: str) -> None:
    bench.changed = {"downloads_bytes": 1000}
    bench.write(*(bench.edge().line(n) for n in range(1, 30)))
    service = bench.caught_up()
    download = made(service, format=form)
    assert download["state"] == "failed"
    assert "more than the 1000 bytes that are left" in str(download["reason"])
    refused = file(service, download)
    assert (refused.status_code, "the download failed" in refused.text) == (409, True)
    folder = bench.settings().directory / "downloads"
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_they_expire_and_can_be_deleted(bench: Bench, service: Service) -> None:
    first, second = made(service, key="1"), made(service, key="2", filters={"app": "ocr"})
    assert client(service).delete(f"/v1/downloads/{first['id']}").status_code == 204
    assert file(service, first).status_code == 404
    assert client(service).delete(f"/v1/downloads/{first['id']}").status_code == 404
    assert file(service, second).status_code == 200
    bench.clock.advance(timedelta(hours=24))
    service.making.turn()
    gone = file(service, second)
    assert (gone.status_code, "may have expired" in gone.text) == (404, True)
    assert list((bench.settings().directory / "downloads").iterdir()) == []


def test_more_than_so_many_are_refused(bench: Bench) -> None:
    bench.changed = {"downloads_most": 2}
    service = bench.caught_up()
    asked(service, key="1")
    asked(service, key="2")
    asked(service, key="2")
    ask = client(service)
    refused = ask.post("/v1/downloads", json={"format": "jsonl"})
    assert (refused.status_code, "2 downloads already" in refused.text) == (429, True)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"format": "csv"}, "body.format"),
        ({"format": "jsonl", "filters": {"apps": "ocr"}}, "body.filters.apps"),
        ({"format": "jsonl", "filters": {"since": "2026-01-01T12:00:00Z"}}, "body.filters.since"),
        ({"format": "jsonl", "filters": {"from": "now"}}, "from='now' is not a time"),
        ({"format": "jsonl", "filters": {"outcome": "fine"}}, "outcome='fine' is none of"),
        ({"format": "jsonl", "filters": {"status": "200"}}, "body.filters.status"),
        ({"filters": {}}, "body.format"),
    ],
)
def test_a_bad_wish_is_refused_by_name(
    bench: Bench, body: dict[str, object], sentence: str
) -> None:
    refused = client(bench.start()).post("/v1/downloads", json=body)
    assert refused.status_code == 422
    assert sentence in refused.json()["detail"]


def test_one_key_is_one_wish(service: Service) -> None:
    asked(service)
    refused = client(service).post(
        "/v1/downloads", json={"format": "parquet"}, headers={"idempotency-key": "k"}
    )
    assert refused.status_code == 409


def test_who_asks_needs_the_token(service: Service) -> None:
    stranger, known = TestClient(service.app), client(service)
    assert stranger.post("/v1/downloads", json={"format": "jsonl"}).status_code == 401
    made(service)
    for path in ("/v1/records", "/v1/records/parts", "/v1/downloads", "/v1/status"):
        assert known.get(path).status_code == 200
        assert stranger.get(path).status_code == 401
    (ready,) = known.get("/v1/downloads").json()["downloads"]
    whole = f"/v1/downloads/{ready['id']}/file"
    assert (known.get(whole).status_code, stranger.get(whole).status_code) == (200, 401)
    assert stranger.head(whole).status_code == 401


def test_what_names_no_download_is_not_there(service: Service) -> None:
    known = client(service)
    assert known.get("/v1/downloads/../../token/file").status_code == 404
    assert known.get(f"/v1/downloads/{'0' * 32}").status_code == 404
    assert known.get("/v1/downloads/nonsense").status_code == 422
