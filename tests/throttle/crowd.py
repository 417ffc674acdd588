"""``python -m tests.throttle.crowd N``: a port, and N callers who are connected at once and ask.

It begins with the few open files that a shell allows, and prints how many were answered.
"""

import asyncio
import resource
import sys
import time

import uvloop

from midstage.chassis.sockets import opened_for
from midstage.throttle.adapters.http2 import frames
from midstage.throttle.adapters.http2.frames import PREFACE
from midstage.throttle.adapters.http2.server import Server
from tests.throttle.http2 import begun, blocks, message

HOST = "127.0.0.1"
FEW = 256
ANSWER = message(b"hello")


async def crowd(callers: int) -> int:
    """How many of them had an answer while all were connected."""
    server = Server(blocks(), monotonic=time.monotonic)
    port = await server.open(HOST, 0)
    opened = [await asyncio.open_connection(HOST, port) for _ in range(callers)]
    answered = 0
    for _, writer in opened:
        writer.write(PREFACE + frames.settings({}) + begun().request(b"hello"))
    for reader, _ in opened:
        await reader.readuntil(ANSWER)
        answered += 1
    for _, writer in opened:
        writer.close()
    await server.close(1.0)
    return answered


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
    asked_for = int(sys.argv[1])
    opened_for(2 * asked_for)  # they are in the same process
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(f"{runner.run(crowd(asked_for))}\n")
