"""Records and downloads as people ask for them: a real process, a server that breaks off."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import parse_qsl, urlsplit

import pytest

from midstage.client import api
from midstage.client.downloads import ATTEMPTS, fetch
from midstage.contracts.errors import RefusedError, UnavailableError

Midstage = Callable[..., CompletedProcess[str]]
CONTENT = bytes(range(256)) * 4096
ID = "0" * 32
RECORD = {
    "time": "2026-01-01T12:00:00Z",
    "app": "chat",
    "customer": "acme",
    "status": 200,
    "outcome": "ok",
    "duration_ms": 120.5,
    "ttft_ms": None,
    "usage": {"input_tokens": 3},
    "revision": "r1",
    "pod": "p-1",
    "ref": "r-1",
}


@dataclass
class Data:
    """Stands where data stands: one download, whose connection breaks off where a test says."""

    url: str = ""
    content: bytes = CONTENT
    sha256: str = hashlib.sha256(CONTENT).hexdigest()
    states: list[str] = field(default_factory=lambda: ["ready"])
    breaks_after: list[int] = field(default_factory=list)
    gone: bool = False
    ranges: list[tuple[str | None, str | None]] = field(default_factory=list)
    asked: list[dict[str, object]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)

    def manifest(self) -> dict[str, object]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {
            "id": ID,
            "state": state,
            "rows": 7,
            "rows_total": 9,
            "bytes": len(self.content),
            "sha256": self.sha256,
            "reason": "no room" if state == "failed" else "",
        }


class Handler(BaseHTTPRequestHandler):
    """Answers for a ``Data``."""

    data: Data

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match url.path:
            case _ if self.headers.get("authorization") != "Bearer secret":
                self._json(401, {"detail": "who are you?"})
            case "/v1/records":
                self.data.queries.append(dict(parse_qsl(url.query, keep_blank_values=True)))
                self._json(200, {"records": [RECORD], "next": "abc"})
            case path if path.endswith("/file"):
                self._file()
            case _ if self.data.gone:
                self.data.gone = False
                self._json(404, {"detail": "gone"})
            case _:
                self._json(200, self.data.manifest())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.data.asked.append(json.loads(body))
        self._json(202, self.data.manifest())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        """Say nothing."""

    def _json(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _file(self) -> None:
        ranged, condition = self.headers.get("range"), self.headers.get("if-range")
        self.data.ranges.append((ranged, condition))
        begin = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged else 0
        if condition not in (None, f'"{self.data.sha256}"'):
            begin = 0
        rest = self.data.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("content-length", str(len(rest)))
        self.end_headers()
        most = self.data.breaks_after.pop(0) if self.data.breaks_after else len(rest)
        self.wfile.write(rest[:most])
        self.close_connection = True


@pytest.fixture
def data() -> Iterator[Data]:
    served = Data()
    handler = type("Bound", (Handler,), {"data": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """The same command, run as often as one likes."""

    data: Data
    token: Path
    file: Path
    said: list[str] = field(default_factory=list)

    def __call__(self, wish: str = "w") -> None:
        fetch(
            api.Service(url=self.data.url, token_file=self.token),
            wish=wish,
            body={"format": "jsonl"},
            file=self.file,
            tell=self.said.append,
            pause=lambda seconds: None,
        )

    @property
    def beside(self) -> set[str]:
        return {path.name for path in self.file.parent.iterdir()} - {self.token.name}


@pytest.fixture
def fetching(data: Data, token: str, tmp_path: Path) -> Fetching:
    return Fetching(data=data, token=Path(token), file=tmp_path / "out.jsonl")


def test_a_download_is_waited_for_and_brought_whole(fetching: Fetching) -> None:
    fetching.data.states = ["waiting", "making", "ready"]
    fetching()
    assert fetching.file.read_bytes() == CONTENT
    assert fetching.beside == {"out.jsonl"}
    assert "making: 7 of 9 rows" in fetching.said


def test_what_breaks_off_goes_on_by_range_to_identical_bytes(fetching: Fetching) -> None:
    fetching.data.breaks_after = [1000, 500_000, 0, 1]
    fetching()
    assert fetching.file.read_bytes() == CONTENT
    etag = f'"{fetching.data.sha256}"'
    assert fetching.data.ranges[0] == (None, None)
    assert fetching.data.ranges[1] == ("bytes=1000-", etag)
    assert {condition for _, condition in fetching.data.ranges[1:]} == {etag}


def test_the_same_command_goes_on_where_the_last_one_was_broken_off(fetching: Fetching) -> None:
    fetching.data.breaks_after = [300_000, *[0] * ATTEMPTS]
    with pytest.raises(UnavailableError, match=r"300000 of 1048576 bytes.*same command again"):
        fetching()
    assert fetching.beside == {"out.jsonl.part", "out.jsonl.download"}
    fetching.data.breaks_after = []
    fetching()
    assert fetching.file.read_bytes() == CONTENT
    assert fetching.data.ranges[-1][0] == "bytes=300000-"
    assert len(fetching.data.asked) == 1


def test_another_command_begins_anew(fetching: Fetching) -> None:
    fetching.data.breaks_after = [300_000, *[0] * ATTEMPTS]
    with pytest.raises(UnavailableError):
        fetching()
    fetching.data.breaks_after = []
    fetching("another")
    assert fetching.data.ranges[-1] == (None, None)
    assert len(fetching.data.asked) == 2


def test_what_has_expired_meanwhile_is_asked_for_anew(fetching: Fetching) -> None:
    fetching.data.breaks_after = [300_000, *[0] * ATTEMPTS]
    with pytest.raises(UnavailableError):
        fetching()
    fetching.data.breaks_after = []
    fetching.data.gone = True
    fetching()
    assert fetching.file.read_bytes() == CONTENT
    assert len(fetching.data.asked) == 2
    assert "expired" in " ".join(fetching.said)


def test_bytes_that_are_not_those_of_the_manifest_are_not_kept(fetching: Fetching) -> None:
    fetching.data.content = CONTENT[:-1] + b"?"
    with pytest.raises(UnavailableError, match="instead of"):
        fetching()
    assert fetching.beside == set()


def test_a_download_that_failed_says_why(fetching: Fetching) -> None:
    fetching.data.states = ["making", "failed"]
    with pytest.raises(RefusedError, match="the download failed: no room"):
        fetching()
    assert fetching.beside == set()


def test_an_empty_download_is_an_empty_file(fetching: Fetching) -> None:
    fetching.data.content = b""
    fetching.data.sha256 = hashlib.sha256(b"").hexdigest()
    fetching()
    assert fetching.file.read_bytes() == b""


def test_a_file_that_is_there_is_left_as_it_is(fetching: Fetching) -> None:
    fetching.file.write_text("mine")
    with pytest.raises(RefusedError, match="exists"):
        fetching()
    assert fetching.file.read_text() == "mine"


@pytest.mark.slow
def test_records_are_printed_and_filters_are_passed_on(
    midstage: Midstage, data: Data, token: str
) -> None:
    done = midstage(
        "get", "records", "--server", data.url, "--token-file", token,
        "--app", "chat", "--outcome", "ok", "--newest",
        "--from", "2026-01-01T12:00:00Z", "--limit", "5", "--after", "xyz",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    title, row = done.stdout.splitlines()
    assert title.split()[:4] == ["TIME", "APP", "CUSTOMER", "STATUS"]
    assert row.split()[:4] == ["2026-01-01T12:00:00Z", "chat", "acme", "200"]
    assert "--after abc" in done.stderr
    assert data.queries == [
        {
            "app": "chat",
            "outcome": "ok",
            "from": "2026-01-01T12:00:00Z",
            "order": "newest",
            "limit": "5",
            "after": "xyz",
        }
    ]


@pytest.mark.slow
def test_a_download_is_one_command(
    midstage: Midstage, data: Data, token: str, tmp_path: Path
) -> None:
    out = tmp_path / "records.parquet"
    done = midstage(
        "download", "records", "--server", data.url, "--token-file", token,
        "--app", "chat", "--from", "2026-01-01T12:00:00Z", "--format", "parquet",
        "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == CONTENT
    assert done.stdout == ""
    assert data.sha256 in done.stderr
    assert data.asked == [
        {"format": "parquet", "filters": {"app": "chat", "from": "2026-01-01T12:00:00Z"}}
    ]
    again = midstage("download", "records", "--server", data.url, "--out", str(out))
    assert (again.returncode, "exists" in again.stderr) == (1, True)
