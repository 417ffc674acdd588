"""A replica that says exactly the bytes it is told to: chunks, trailers, pauses, sudden ends."""

import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

READY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as the replica got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answering:
    """One connection, as a behaviour uses it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def head(self, *, status: str = "200 OK", **headers: str) -> None:
        named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"HTTP/1.1 {status}\r\n{named}\r\n".encode())

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self, **trailers: str) -> None:
        named = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in trailers.items())
        self.send(f"0\r\n{named}\r\n".encode())

    def plain(self, body: bytes, *, status: str = "200 OK", **headers: str) -> None:
        told = {"content_type": "application/json", **headers, "content_length": str(len(body))}
        self.head(status=status, **told)
        self.send(body)

    def events(self, *events: bytes) -> None:
        """The head of a stream, and these events, each in a chunk of its own."""
        self.head(content_type="text/event-stream", transfer_encoding="chunked")
        for event in events:
            self.chunk(b"data: " + event + b"\n\n")

    def gone(self) -> bool:
        """Wait until the other side has closed the connection."""
        self._connection.settimeout(60)
        try:
            return self._connection.recv(1) == b""
        except ConnectionError:
            return True

    def die(self) -> None:
        """Reset the connection, as a killed process does."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._connection.detach())

    def close(self) -> None:
        """Close the connection, as a process does that ends."""
        self._connection.shutdown(socket.SHUT_RDWR)


Behaviour = Callable[[Asked, Answering], None]


@dataclass(slots=True)
class Replica:
    """What it answers by path, and what it was asked; paths that it doesn't know get ``{}``."""

    port: int = 0
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, path: str, behaviour: Behaviour) -> None:
        self.behaviours[path] = behaviour

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection, until it ends."""
        stream = connection.makefile("rb")
        while asked := _read(stream.readline, stream.read):
            answering = Answering(connection)
            if asked.path == "/readyz":
                answering.send(READY)
                continue
            self.asked.append(asked)
            behaviour = self.behaviours.get(asked.path, _nothing_special)
            behaviour(asked, answering)


def _nothing_special(asked: Asked, answering: Answering) -> None:
    answering.plain(b"{}")


def _read(line: Callable[[], bytes], read: Callable[[int], bytes]) -> Asked | None:
    first = line().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while text := line().decode("latin-1").strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    body = read(int(headers.get("content-length", "0")))
    return Asked(method=first[0], path=first[1], headers=headers, body=body)


@contextmanager
def running(port: int = 0) -> Iterator[Replica]:
    """A replica on loopback; at the end its connections end too, as a killed process's do."""
    replica = Replica()
    open_connections: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            open_connections.append(self.request)
            try:
                replica.serve(self.request)
            except OSError:
                return  # the other side, or ``die``, closed the connection

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", port), Handler) as server:
        replica.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield replica
        server.shutdown()
        for connection in open_connections:
            with suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)
