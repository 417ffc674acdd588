"""The least that can answer: one process, keep-alive, the same small answer to every request.

``python -m tests.bench.replica PORT`` serves on loopback until its parent ends it. It answers as
an OpenAI-compatible server does, with ``usage``, so that the gateway has something to count.
"""

import asyncio
import sys

import uvloop

from midstage.local.ports import LOOPBACK
from tests.bench.http1 import Wire, size, wire

BODY = (
    b'{"object":"chat.completion","choices":[{"message":{"content":"four words to count"}}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":4,"total_tokens":16}}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


class Replica(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._received = b""
        self._wire: Wire | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._wire = wire(transport)

    def data_received(self, data: bytes) -> None:
        """Answer once for each whole request."""
        self._received += data
        while (whole := size(self._received)) is not None and len(self._received) >= whole:
            self._received = self._received[whole:]
            if self._wire is not None:
                self._wire.write(ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Replica, LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
