"""Ports found free on loopback, below those that the system hands to outgoing connections.

So no connection of a client can take the port of a child that is just being restarted.
"""

import random
import socket
from collections.abc import Collection

from midstage.local.errors import PlatformError

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = 15_000, 32_000
_TRIES = 1_000


def found(count: int, *, taken: Collection[int] = ()) -> list[int]:
    """``count`` different ports that nobody listens on, none of them in ``taken``."""
    chosen: list[int] = []
    for _ in range(_TRIES):
        if len(chosen) == count:
            return chosen
        port = random.randrange(_LOWEST, _HIGHEST)
        if port not in taken and port not in chosen and free(port):
            chosen.append(port)
    raise PlatformError(
        f"no {count} free ports between {_LOWEST} and {_HIGHEST} on {LOOPBACK}:"
        " stop what listens there"
    )


def free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True
