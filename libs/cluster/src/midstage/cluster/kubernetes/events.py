"""What the lines of a watch and the pages of a list say; UnavailableError where one can't be read.

A line is an object as it is now, or as it was when it was deleted; or a mark of how far the watch
has come; or an error, raised as the same error of an answer would be.
"""

from dataclasses import dataclass

import msgspec

from midstage.cluster.kubernetes.errors import error_of
from midstage.cluster.kubernetes.kinds import Kind, Told
from midstage.cluster.kubernetes.shapes import Shape, Strings
from midstage.contracts.errors import UnavailableError

_BEGUN = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Everything up to ``version`` was told; ``begun``: all that was there at the beginning was."""

    version: int
    begun: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An object, as it is or was last."""

    told: Told
    deleted: bool


class _Event(Shape, frozen=True, kw_only=True):
    type: str
    object: msgspec.Raw


class _MarkMeta(Shape, frozen=True, kw_only=True):
    resource_version: str
    annotations: Strings | None = None


class _Marked(Shape, frozen=True, kw_only=True):
    metadata: _MarkMeta


class _Coded(Shape, frozen=True, kw_only=True):
    code: int = 500


_EVENTS = msgspec.json.Decoder(_Event)
_MARKS = msgspec.json.Decoder(_Marked)
_CODES = msgspec.json.Decoder(_Coded)


def said(name: str, kind: Kind, line: bytes) -> Mark | Seen:
    """What a line of the watch of ``kind`` says; ``name`` is the cluster's."""
    try:
        event = _EVENTS.decode(line)
        match event.type:
            case "ADDED" | "MODIFIED" | "DELETED":
                told = told_by(name, kind, event.object)
                return Seen(told=told, deleted=event.type == "DELETED")
            case "BOOKMARK":
                meta = _MARKS.decode(event.object).metadata
                begun = (meta.annotations or {}).get(_BEGUN) == "true"
                return Mark(version=version_of(name, meta.resource_version), begun=begun)
            case "ERROR":
                code = _CODES.decode(event.object).code
            case other:
                raise UnavailableError(f"{name} tells an event {other!r}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise UnavailableError(f"{name} answers what can't be read: {e}") from e
    raise error_of(name, code, bytes(event.object))


def version_of(name: str, text: str) -> int:
    """The version as a number; UnavailableError where it is none."""
    try:
        return int(text)
    except ValueError as e:
        raise UnavailableError(f"{name} tells no version: {text!r}") from e


def told_by(name: str, kind: Kind, body: bytes | msgspec.Raw) -> Told:
    """What an object says; UnavailableError where it can't be read."""
    try:
        return kind.told(body)
    except (msgspec.MsgspecError, ValueError) as e:
        raise UnavailableError(f"{name} tells {kind.resource.plural} not to be read: {e}") from e
