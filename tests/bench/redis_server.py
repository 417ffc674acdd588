"""A Redis of the machine's own for a block of code: in memory alone, on loopback."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from midstage.local.ports import LOOPBACK, found
from tests.bench.children import await_ready, running

_PING_WITHIN_S = 1.0


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[tuple[int, int]]:
    """Its port and its process, while it runs; it writes nothing to the disk."""
    [port] = found(1)
    directory.mkdir(parents=True, exist_ok=True)
    command = ["redis-server", "--bind", LOOPBACK, "--port", str(port), "--dir", str(directory)]
    log = directory / "redis.log"
    with running([*command, "--save", "", "--appendonly", "no"], log=log) as child:
        await_ready(lambda: _unready(port), child=child, log=log)
        yield port, child.pid


def _unready(port: int) -> str | None:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_PING_WITHIN_S) as link:
            link.sendall(b"PING\r\n")
            said = link.recv(100)
    except OSError as e:
        return f"Redis does not answer: {e}"
    return None if said == b"+PONG\r\n" else f"Redis says {said!r}"
