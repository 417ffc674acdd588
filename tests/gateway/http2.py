"""A caller that speaks HTTP/2 without TLS, frame by frame."""

import socket
import struct
from collections.abc import Mapping

DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Http2:
    """One connection; streams have odd numbers."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._stream = self._connection.makefile("rb")
        self._connection.sendall(_PREFACE + frame(SETTINGS, 0, 0))

    def get(self, stream: int, path: str, headers: Mapping[str, str]) -> None:
        named = {":method": "GET", ":scheme": "http", ":authority": "any", ":path": path, **headers}
        block = b"".join(_literal(name, value) for name, value in named.items())
        self._connection.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, block))

    def body(self, stream: int, until: bytes | None = None) -> bytes:
        """What came on a stream, to its end or to some text."""
        heard = b""
        while True:
            head = self._stream.read(9)
            length = int.from_bytes(head[:3], "big")
            kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self._stream.read(length)
            if kind == SETTINGS and not flags & ACK:
                self._connection.sendall(frame(SETTINGS, ACK, 0))
            if number != stream:
                continue
            assert kind != RST_STREAM, "the stream was reset"
            heard += payload if kind == DATA else b""
            if (kind in {DATA, HEADERS} and flags & END_STREAM) or (until and until in heard):
                return heard

    def reset(self, stream: int) -> None:
        self._connection.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def close(self) -> None:
        self._stream.close()
        self._connection.close()


def _literal(name: str, value: str) -> bytes:
    """A header field without indexing and without Huffman's code."""
    return b"\x00" + b"".join(_string(text.encode()) for text in (name, value))


def _string(text: bytes) -> bytes:
    assert len(text) < 127
    return bytes([len(text)]) + text
