"""A small real HTTP server that speaks as an API server does, and as one that is ill."""

import contextlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from midstage.cluster.kubernetes.cluster import KubernetesCluster

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

GROUPS = {
    "apps": ["v1"],
    "discovery.k8s.io": ["v1"],
    "coordination.k8s.io": ["v1"],
    "policy": ["v1"],
}
VERSION = 100
CUT = b"\0cut"
"""A piece that is not sent: the connection is reset instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def plural(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def watches(self) -> bool:
        return "watch" in self.query and not self.begins

    @property
    def begins(self) -> bool:
        """A watch that first tells all that is there."""
        return "sendInitialEvents" in self.query


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is answered: pieces as they are sent; ``holds``: then nothing, and no end."""

    status: int = 200
    pieces: Iterable[bytes] = ()
    headers: dict[str, str] = field(default_factory=dict)
    holds: bool = False


Answers = Callable[[Asked], Said | None]


@dataclass(slots=True)
class ApiServer:
    """``answers`` is asked first; what it answers None to is answered as a healthy server does.

    Without ``beginnings`` it does not know how a watch begins with all that is there.
    """

    port: int
    folder: Path
    answers: Answers
    asked: list[Asked] = field(default_factory=list)
    beginnings: Answers | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def kubeconfig(self) -> Path:
        return kubeconfig(self.folder / "kubeconfig", port=self.port, user={"token": "secret"})

    def cluster(self, *, silent_s: float = 20.0) -> KubernetesCluster:
        where = f"kubeconfig:{self.kubeconfig}"
        return KubernetesCluster(name="ill", where=where, silent_s=silent_s)

    def count(self) -> Counter[str]:
        return Counter(asked.plural for asked in self.asked)


def kubeconfig(path: Path, *, port: int, user: dict[str, Json]) -> Path:
    told: dict[str, Json] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(told))
    return path


def said(value: Json, *, status: int = 200, headers: dict[str, str] | None = None) -> Said:
    return Said(status=status, pieces=[json.dumps(value).encode()], headers=headers or {})


def status(code: int, message: str, **other: Json) -> dict[str, Json]:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message, **other}


def page(items: Iterable[Json] = (), *, more: str = "", version: int = VERSION) -> Said:
    return said(
        {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(items)}
    )


def event(kind: str, told: Json) -> bytes:
    return json.dumps({"type": kind, "object": told}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def pod(name: str, *, version: int = VERSION, phase: str = "Running", **meta: Json) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-26T00:00:00Z",
            **meta,
        },
        "spec": {"nodeName": "n", "containers": [{"name": "app"}]},
        "status": {"phase": phase},
    }


def healthy(asked: Asked) -> Said:
    match asked.path:
        case "/api":
            return said({"versions": ["v1"]})
        case "/apis":
            groups: list[Json] = [
                {"name": name, "versions": [{"version": each} for each in versions]}
                for name, versions in GROUPS.items()
            ]
            return said({"groups": groups})
        case _ if asked.watches:
            return Said(holds=True)
        case _ if asked.plural in ("nodes", "pods", "deployments", "endpointslices"):
            return page()
        case _:
            return said(status(404, f"{asked.plural} not found"), status=404)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    api: ApiServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("content-length", 0))
        asked = Asked(
            method=self.command,
            path=split.path,
            query=dict(parse_qsl(split.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        self.server.api.asked.append(asked)
        with contextlib.suppress(OSError):
            self._say(self._answered(asked, self.server.api))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        pass

    def _answered(self, asked: Asked, api: ApiServer) -> Said:
        if not asked.begins:
            return api.answers(asked) or healthy(asked)
        found = api.beginnings(asked) if api.beginnings else None
        return found or said(status(422, "sendInitialEvents: Forbidden"), status=422)

    def _say(self, said: Said) -> None:
        if "date" in said.headers:
            self.send_response_only(said.status)
        else:
            self.send_response(said.status)
        if "content-type" not in said.headers:
            self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in said.pieces:
            if piece == CUT:
                self._reset()
                return
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if said.holds:
            self.server.api.over.wait(60)
            self.close_connection = True
        self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        lingers_not = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers_not)
        self.connection.close()
        self.close_connection = True


@contextlib.contextmanager
def api_server(folder: Path, answers: Answers = lambda _: None) -> Iterator[ApiServer]:
    """One that answers as ``answers`` says for as long as the block runs."""
    http = _Http(("127.0.0.1", 0), _Handler)
    http.api = ApiServer(http.server_address[1], folder, answers)
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield http.api
    finally:
        http.api.over.set()
        http.shutdown()
        http.server_close()
