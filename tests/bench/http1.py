"""As much of HTTP/1.1 as callers and replica of the bench need, and no cycle more."""

import asyncio
import re
from typing import Protocol, runtime_checkable

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@runtime_checkable
class Wire(Protocol):
    """What uvloop's transports are, though they are not asyncio's own."""

    def write(self, data: bytes) -> None:
        """Send."""
        ...


def wire(transport: asyncio.BaseTransport) -> Wire:
    """The transport as what can be written to."""
    if not isinstance(transport, Wire):
        raise TypeError(f"{transport!r} can't be written to")
    return transport


def size(received: bytes) -> int | None:
    """Bytes of the first message, as its headers tell; None while they are not whole."""
    end = received.find(_END)
    if end < 0:
        return None
    length = _LENGTH.search(received, 0, end)
    return end + len(_END) + (int(length[1]) if length else 0)
