"""The client against servers that misbehave: everything is one of the kinds of error."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import uvicorn

from midstage.cluster.http import HttpCluster
from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Change
from midstage.cluster.protocol import Cluster, ConflictError, ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.local import ports

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def answering(*answers: bytes, silent: bool = False) -> Iterator[HttpCluster]:
    """A server that says ``answers``, each on a connection of its own; ``silent``: stays open."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            for answer in answers:
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)
                        if silent:
                            over.wait(60)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with HttpCluster(
            name="c", base_url=f"http://127.0.0.1:{port}", token="t", silent_s=3 if silent else 60
        ) as cluster:
            yield cluster
        over.set()


def status(code: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
        *(code, len(body)),
        body,
    )


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n" * end


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (409, ConflictError),
        (410, ExpiredError),
        (404, RefusedError),
        (401, RefusedError),
        (500, UnavailableError),
        (503, UnavailableError),
        (302, UnavailableError),
    ],
)
def test_a_status_is_a_kind_of_error_with_the_problems_words(
    code: int, kind: type[Exception]
) -> None:
    with answering(status(code, b'{"detail":"because"}')) as cluster:
        with pytest.raises(kind, match="because") as raised:
            cluster.list()
        assert type(raised.value) is kind
        if isinstance(raised.value, RefusedError):
            assert raised.value.status == code


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"resource_version":"x"}', b"[]"])
def test_an_answer_that_is_none_is_unavailable(body: bytes) -> None:
    with answering(status(200, body)) as cluster, pytest.raises(UnavailableError):
        cluster.list()


def test_a_connection_is_dropped_long_before_the_daemon_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections: list[int] = []

    class Counting(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            connections.append(self.client_address[1])
            body = b'{"resource_version":7}'
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    closes_after_s = uvicorn.Config("none").timeout_keep_alive
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with HttpCluster(name="c", base_url=url, token="t") as cluster:
            cluster.list()
            now = time.monotonic
            monkeypatch.setattr(time, "monotonic", lambda: now() + closes_after_s / 2)
            cluster.list()
        monkeypatch.undo()
        server.shutdown()
    assert len(set(connections)) == 2


def test_nobody_there_is_unavailable() -> None:
    (port,) = ports.found(1)
    with HttpCluster(name="c", base_url=f"http://127.0.0.1:{port}", token="t") as cluster:
        with pytest.raises(UnavailableError, match="c does not answer"):
            cluster.list()
        with pytest.raises(UnavailableError):
            next(cluster.watch(0))
        with pytest.raises(UnavailableError):
            next(cluster.logs("p"))


def test_a_silent_watch_is_half_open() -> None:
    said = chunked(b'{"resource_version":7}\n', end=False)
    with answering(said, silent=True) as cluster:
        watch = cluster.watch(0)
        assert next(watch) == Change(resource_version=7)
        with pytest.raises(UnavailableError):
            next(watch)


def test_a_watch_that_ends_is_unavailable_and_half_a_line_is_no_change() -> None:
    pieces = (b'{"resource_ver', b'sion":7}\n{"resource_version":8}\n{"resource', b"_ver")
    with answering(chunked(*pieces)) as cluster:
        watch = cluster.watch(0)
        assert [next(watch).resource_version, next(watch).resource_version] == [7, 8]
        with pytest.raises(UnavailableError):
            next(watch)


def test_a_watch_of_garbage_is_unavailable() -> None:
    with answering(chunked(b"garbage\n")) as cluster, pytest.raises(UnavailableError):
        next(cluster.watch(0))


def test_an_expired_watch_is_told_apart() -> None:
    expired = status(410, b'{"detail":"too old"}')
    with answering(expired) as cluster, pytest.raises(ExpiredError, match="too old"):
        next(cluster.watch(0))


def test_both_implementations_are_clusters() -> None:
    clusters: list[Cluster] = [
        MemoryCluster(),
        HttpCluster(name="c", base_url="http://127.0.0.1:1", token="t"),
    ]
    assert [cluster.name for cluster in clusters] == ["memory", "c"]


def test_a_cluster_in_memory_can_be_cut_off_and_mended() -> None:
    cluster = MemoryCluster(name="far")
    watch = cluster.watch(cluster.list().resource_version)
    next(watch)
    cluster.cut("the cable is out")
    with pytest.raises(UnavailableError):
        next(watch)
    with pytest.raises(UnavailableError, match="far does not answer: the cable is out"):
        cluster.list()
    cluster.mend()
    cluster.list()
