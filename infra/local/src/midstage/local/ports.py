"""Ports found free on loopback, below those that the system hands to outgoing connections.

So no connection of a client can take the port of a child that is just being restarted, and neither
can another process of ours: each hands out ports of its own blocks alone. It has a block for as
long as it lives, by keeping the block's first port bound: the system lets go of that with it.
"""

import random
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice

from midstage.local.errors import PlatformError

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = 15_000, 32_000
_BLOCK = 100


def found(count: int, *, taken: Collection[int] = ()) -> list[int]:
    """``count`` different ports that nobody listens on, none of them in ``taken``.

    Another process gets none of them while this one lives, and this one itself only late again.
    """
    with _BLOCKS.lock:
        usable = (port for port in _BLOCKS.offered() if port not in taken and free(port))
        chosen = list(islice(usable, count))
    if len(chosen) == count:
        return chosen
    raise PlatformError(
        f"no {count} free ports between {_LOWEST} and {_HIGHEST} on {LOOPBACK}:"
        " stop what listens there"
    )


def regained(port: int) -> bool:
    """Whether ``port`` of an earlier process is this one's now: free, and in no other's block."""
    with _BLOCKS.lock:
        return _BLOCKS.has(port) and free(port)


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


class _Block:
    """The ports behind a first one; OSError where that one is bound already."""

    def __init__(self, first: int) -> None:
        self._bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._bound.bind((LOOPBACK, first))
        except OSError:
            self._bound.close()
            raise
        self.ports = range(first + 1, first + _BLOCK)
        self._next = 0

    def turn(self) -> Iterator[int]:
        """Each port once, beginning with the one that was offered longest ago."""
        for _ in self.ports:
            port = self.ports[self._next]
            self._next = (self._next + 1) % len(self.ports)
            yield port


class _Blocks:
    """Those of one process; ``lock`` is held by whoever asks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._own: dict[int, _Block] = {}

    def offered(self) -> Iterator[int]:
        """The ports of its own blocks, then those of blocks that nobody has."""
        for block in [*self._own.values()]:
            yield from block.turn()
        firsts = range(_LOWEST, _HIGHEST, _BLOCK)
        for first in random.sample(firsts, len(firsts)):
            if first not in self._own and self._claimed(first):
                yield from self._own[first].turn()

    def has(self, port: int) -> bool:
        """Whether the port's block is its own, or nobody's until now."""
        first = port - port % _BLOCK
        if not _LOWEST <= first < _HIGHEST:
            return False
        return (first in self._own or self._claimed(first)) and port in self._own[first].ports

    def _claimed(self, first: int) -> bool:
        with suppress(OSError):
            self._own[first] = _Block(first)
        return first in self._own


_BLOCKS = _Blocks()  # of the process, as its ports are: whoever asks must know of all who asked
