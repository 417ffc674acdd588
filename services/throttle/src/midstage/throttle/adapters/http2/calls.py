"""Which calls are served, and what a call's headers ask (gRPC over HTTP/2).

A call that can't be served has its answer from its headers alone: a status, and words.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from urllib.parse import quote

from midstage.throttle.model.later import Later

Answer = Callable[[bytes, float | None], bytes | Later[bytes]]
"""From a message and the seconds left until its deadline (None: it has none) to the answer.

What is told later has to be told on the same thread, and after the step that asked.
Raises CallError where it has no answer; whatever else it raises ends the server.
"""


_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_NEEDED: Final = frozenset({b":method", b":scheme", b":path"})
_CONNECTION: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)


class Status(IntEnum):
    """gRPC's codes, as far as they are answered here."""

    OK = 0
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class CallError(Exception):
    """A call without an answer."""

    def __init__(self, status: Status, words: str) -> None:
        """``words`` are told to the caller."""
        super().__init__(words)
        self.status = status


class MalformedError(Exception):
    """Headers that are no request: the stream is reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What headers ask for: ``answer``, within ``timeout_s`` if that is said."""

    answer: Answer
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The calls that are served, by path (``/package.Service/Method``)."""

    answers: Mapping[bytes, Answer]

    def asked(self, headers: Iterable[tuple[bytes, bytes]]) -> Call:
        """The call of these headers; MalformedError where they are no request at all."""
        known = _known(headers)
        path = known[b":path"]
        answer = self.answers.get(path)
        if known[b":method"] != b"POST":
            return _refused(Status.INTERNAL, "a call is a POST")
        if not known.get(b"content-type", b"").startswith(b"application/grpc"):
            return _refused(Status.INTERNAL, "a call has content-type application/grpc")
        if answer is None:
            words = f"unknown method {path.decode(errors='replace')}"
            return _refused(Status.UNIMPLEMENTED, words)
        timeout = known.get(b"grpc-timeout")
        if timeout is None:
            return Call(answer=answer)
        found = _TIMEOUT.fullmatch(timeout)
        if found is None:
            return _refused(Status.INTERNAL, "malformed grpc-timeout")
        return Call(answer=answer, timeout_s=int(found[1]) * _SECONDS[found[2]])


def message(words: str) -> bytes:
    """Words as ``grpc-message`` has them: percent-encoded."""
    return quote(words, safe=" !\"#$&'()*+,/:;<=>?@[]^`{|}~").encode()


def _known(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """The headers that are looked at, checked by RFC 9113, 8.2 and 8.3."""
    known: dict[bytes, bytes] = {}
    for name, value in headers:
        if name.startswith(b":"):
            if name not in _PSEUDO or name in known or not known.keys() <= _PSEUDO:
                raise MalformedError(f"pseudo-header {name!r}")
        elif name != name.lower() or name in _CONNECTION or not name:
            raise MalformedError(f"header {name!r}")
        elif name == b"te" and value != b"trailers":
            raise MalformedError("te other than trailers")
        known[bytes(name)] = bytes(value)
    if not known.keys() >= _NEEDED or not known[b":path"]:
        raise MalformedError("a request has a method, a scheme and a path")
    return known


def _refused(status: Status, words: str) -> Call:
    def answer(_message: bytes, _remaining_s: float | None) -> bytes:
        raise CallError(status, words)

    return Call(answer=answer)
