"""What the headers of an answer say, and what comes of a call to another process."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from midstage.throttle.adapters.http2.calls import MalformedError, Status

_WITHOUT: Final = frozenset({b"connection", b"transfer-encoding", b"upgrade"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A call without an answer; ``is_silent`` where nothing shows that the other one is there."""

    words: str
    is_silent: bool = False
    status: int | None = None
    """What it said itself."""


Reply = bytes | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An answer begins where there is no ``status`` yet, and ends with one."""

    status: int | None
    words: str = ""


def said(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """What a block of an answer says; MalformedError where it is none of an answer."""
    known: dict[bytes, bytes] = {}
    for name, value in headers:
        if not name or name != name.lower() or name in _WITHOUT or name in known:
            raise MalformedError(f"header {name!r}")
        known[name] = value
    status = known.get(b"grpc-status")
    http = known.get(b":status")
    if http is not None and http != b"200":
        return Head(status=Status.UNAVAILABLE, words=f"HTTP {http.decode(errors='replace')}")
    if status is None:
        if http is None or not known.get(b"content-type", b"").startswith(b"application/grpc"):
            raise MalformedError("neither a beginning nor an end")
        return Head(status=None)
    if not status.isdigit() or len(status) > 2:
        raise MalformedError("a status that is no number")
    return Head(status=int(status), words=known.get(b"grpc-message", b"").decode(errors="replace"))
