"""What a Kubernetes API answers when it does not do what was asked, in midstage's four errors.

The words are always the server's own, be they in JSON or, where that was asked for, in protobuf.
409 is a conflict, 410 (or a version it can't know) expired, other 4xx refused; 429 and 5xx are
unavailable, and say how long the server wants to be left alone.
"""

import msgspec

from midstage.cluster.kubernetes import messages
from midstage.cluster.kubernetes.envelope import MAGIC, opened
from midstage.cluster.kubernetes.protobuf import reader, text
from midstage.cluster.protocol import ConflictError, ExpiredError
from midstage.contracts.errors import MidstageError, RefusedError, UnavailableError

_TOLD = 500


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One of several things that are wrong."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a Status says beyond its message."""

    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error, and of an ERROR event in a watch."""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: Details | None = None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The single causes; none where the server names none."""
        return (self.details and self.details.causes) or ()


_read = reader(messages.Status)
_STATUS = msgspec.json.Decoder(Status)
"""Made here, on one thread: msgspec's types are not ready for a first use by several at once."""


class BusyError(UnavailableError):
    """Too much is asked of the server (429): again after ``after_s`` seconds."""

    def __init__(self, detail: str, *, after_s: float) -> None:
        """Keep how long the server wants to be left alone."""
        super().__init__(detail)
        self.after_s = after_s


class OwnedError(ConflictError):
    """Fields that were applied are somebody else's: each as ``manager: path``."""

    def __init__(self, detail: str, *, causes: tuple[Cause, ...]) -> None:
        """Keep whose they are; of a cause's words only the manager's name counts."""
        super().__init__(detail)
        self.fields = tuple(each.field.lstrip(".") for each in causes)
        self.conflicts = tuple(
            f"{_quoted(each.message)}: {field}".replace('"', "")
            for each, field in zip(causes, self.fields, strict=True)
        )


def error_of(name: str, code: int, body: bytes, retry_after: str = "") -> MidstageError:
    """The error of an answer with status ``code``; ``name`` is the cluster's."""
    status = _status(body)
    words = status.message or body[:_TOLD].decode(errors="replace") or "no words"
    said = f"{name} answers {code}: {words}"
    if _too_new(status):
        return ExpiredError(said)
    match code:
        case 409:
            return _conflict(words, status)
        case 410:
            return ExpiredError(said)
        case 429:
            return _busy(said, status, retry_after)
        case _ if 400 <= code < 500:
            return RefusedError(words if status.message else said, status=code)
        case _:
            return UnavailableError(said)


def error_said(name: str, body: bytes) -> MidstageError:
    """The error of an event in a watch: its code is in the body."""
    return error_of(name, _status(body).code or 500, body)


def _status(body: bytes) -> Status:
    try:
        return _framed(opened(body)) if body.startswith(MAGIC) else _STATUS.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return Status()


def _framed(body: bytes) -> Status:
    told = _read(body)
    causes = tuple(
        Cause(reason=text(each.reason), message=text(each.message), field=text(each.field))
        for each in told.details.causes
    )
    return Status(
        kind="Status",
        message=text(told.message),
        reason=text(told.reason),
        code=told.code,
        details=Details(causes=causes, retry_after_seconds=told.details.retry_after_seconds),
    )


def _conflict(words: str, status: Status) -> ConflictError:
    theirs = tuple(each for each in status.causes if each.reason == "FieldManagerConflict")
    return OwnedError(words, causes=theirs) if theirs else ConflictError(words)


def _busy(said: str, status: Status, retry_after: str) -> UnavailableError:
    """Where a disruption budget forbids it, the server is at leisure: it is asked again later."""
    if any(each.reason == "DisruptionBudget" for each in status.causes):
        return UnavailableError(said)
    return BusyError(said, after_s=_after_s(status, retry_after))


def _quoted(message: str) -> str:
    """The manager in ``conflict with "kubectl" using apps/v1``."""
    return message.split('"')[1] if message.count('"') >= 2 else message


def _too_new(status: Status) -> bool:
    """Whether a resource version was named that this server never gave: it was made anew."""
    return any(cause.reason == "ResourceVersionTooLarge" for cause in status.causes)


def _after_s(status: Status, header: str) -> float:
    said = status.details.retry_after_seconds if status.details else 0
    return float(header) if header.isascii() and header.isdecimal() else float(said or 1)
