"""Callers in a process of their own: each has one connection and waits for its answer.

``python -m tests.bench.callers PORT PATH CALLERS SECONDS`` prints one JSON line (``Heard``).
aiohttp would be the bottleneck before Envoy is, so the requests are bytes made once, and an answer
is only measured; what is not a 200 is counted apart. The first part of the time warms up.
"""

import asyncio
import sys
import time

import msgspec
import uvloop

from midstage.local.ports import LOOPBACK
from tests.bench.http1 import Wire, size, wire
from tests.bench.rounds import quantile

API_KEY = "bench-key"
_WARM_SHARE = 0.2
_BODY = b'{"model":"bench","messages":[{"role":"user","content":"one prompt of a few words"}]}'


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What all callers together got within the time that counts."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


class Caller(asyncio.Protocol):
    """One caller: the next request leaves when the answer to the one before is whole."""

    def __init__(self, request: bytes, took_ms: list[float], failures: list[bytes]) -> None:
        """``took_ms`` and ``failures`` are shared by all callers."""
        self._request = request
        self._took_ms = took_ms
        self._failures = failures
        self._received = b""
        self._sent = 0.0
        self._wire: Wire | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._wire = wire(transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take the time of an answer that is whole, and ask again."""
        self._received += data
        whole = size(self._received)
        if whole is None or len(self._received) < whole:
            return
        self._took_ms.append((time.perf_counter() - self._sent) * 1000)
        if not self._received.startswith(b"HTTP/1.1 200"):
            self._failures.append(self._received[:200])
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """A closed connection is a failure, and no more requests from here."""
        del exc
        self._failures.append(b"connection closed")
        self._wire = None

    def _send(self) -> None:
        if self._wire is not None:
            self._sent = time.perf_counter()
            self._wire.write(self._request)


async def _call(*, port: int, path: str, callers: int, seconds: float) -> Heard:
    took_ms: list[float] = []
    failures: list[bytes] = []
    loop = asyncio.get_running_loop()
    for _ in range(callers):
        await loop.create_connection(
            lambda: Caller(_request(path), took_ms, failures), LOOPBACK, port
        )
    await asyncio.sleep(seconds * _WARM_SHARE)
    took_ms.clear()
    begin = time.perf_counter()
    await asyncio.sleep(seconds)
    passed_s, counted, failed = time.perf_counter() - begin, list(took_ms), list(failures)
    if failed or not counted:
        raise SystemExit(f"{len(failed)} failed, of which first: {failed[:1]}")
    return Heard(
        requests=len(counted),
        seconds=passed_s,
        p50_ms=quantile(counted, 0.5),
        p99_ms=quantile(counted, 0.99),
    )


def _request(path: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {API_KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(_BODY)}\r\n\r\n"
    )
    return head.encode() + _BODY


def main(arguments: list[str]) -> None:
    """Call for some seconds and say what was heard."""
    port, path, callers, seconds = arguments
    heard = uvloop.run(
        _call(port=int(port), path=path, callers=int(callers), seconds=float(seconds))
    )
    sys.stdout.write(msgspec.json.encode(heard).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
