"""What a watch and the pages of a list say; UnavailableError where something can't be read.

An event of a watch, in JSON a line, in protobuf a frame, is an object as it is now, or as it was
when it was deleted; or a mark of how far the watch has come; or an error, raised as the same error
of an answer would be.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from midstage.cluster.kubernetes import messages
from midstage.cluster.kubernetes.connection import PROTOBUF, Stream
from midstage.cluster.kubernetes.envelope import opened
from midstage.cluster.kubernetes.errors import error_said
from midstage.cluster.kubernetes.frames import frames
from midstage.cluster.kubernetes.kinds import Kind, Told
from midstage.cluster.kubernetes.lines import lines
from midstage.cluster.kubernetes.protobuf import reader, text
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


_EVENTS = msgspec.json.Decoder(_Event)
_MARKS = msgspec.json.Decoder(_Marked)
_read_event = reader(messages.WatchEvent)
_read_mark = reader(messages.Marked)


def events(name: str, kind: Kind, stream: Stream) -> Iterator[Mark | Seen]:
    """What a watch of ``kind`` says, in the form in which the server says it."""
    if stream.content_type.startswith(PROTOBUF):
        for frame in frames(stream.pieces):
            yield framed(name, kind, frame)
        return
    for line in lines(stream.pieces):
        if line:
            yield said(name, kind, line)


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
                pass
            case other:
                raise UnavailableError(f"{name} tells an event {other!r}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise UnavailableError(f"{name} answers what can't be read: {e}") from e
    raise error_said(name, bytes(event.object))


def framed(name: str, kind: Kind, frame: bytes) -> Mark | Seen:
    """What a frame of the watch of ``kind`` says; ``name`` is the cluster's."""
    try:
        event = _read_event(frame)
        body = event.object.raw
        match event.type:
            case b"ADDED" | b"MODIFIED" | b"DELETED":
                told = kind.told_in_protobuf(opened(body))
                return Seen(told=told, deleted=event.type == b"DELETED")
            case b"BOOKMARK":
                meta = _read_mark(opened(body)).metadata
                marks = {text(each.key): each.value for each in meta.annotations}
                version = version_of(name, text(meta.resource_version))
                return Mark(version=version, begun=marks.get(_BEGUN) == b"true")
            case b"ERROR":
                pass
            case other:
                raise UnavailableError(f"{name} tells an event {text(other)!r}")
    except (msgspec.MsgspecError, ValueError) as e:
        raise UnavailableError(f"{name} tells {kind.resource.plural} not to be read: {e}") from e
    raise error_said(name, body)


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
