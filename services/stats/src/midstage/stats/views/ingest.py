"""What was posted to be counted, and what became of each event of it: frozen values.

A body is read as a whole: its events have positions, what is wrong in one has a JSON pointer
(RFC 6901) within that event.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

MOST_EVENTS = 10_000
"""Of one body."""


_JSON = re.compile(r"(application|text)/([a-z0-9.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)


class Mode(StrEnum):
    """How a body holds its events."""

    ONE = "one"
    MANY = "many"
    EITHER = "either"
    DATA = "data"  # the attributes came beside it


def is_json(media_type: str) -> bool:
    """Whether what is of this type is JSON, by its name."""
    return _JSON.fullmatch(media_type) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A body, decompressed; ``customer`` None: whoever may post for everybody.

    ``attributes`` are those that came in headers, ``signature`` the one over the exact content.
    """

    mode: Mode
    content: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    signature: bytes | None = None
    customer: str | None = None


class State(StrEnum):
    """What became of one event; ``known`` ones were in the ledger when it was asked.

    They are sent all the same: the ledger tells them apart, not who asks it. So where the shard
    that counts an event does not answer it is accepted like any other, and its ``detail`` says so.
    """

    ACCEPTED = "accepted"
    KNOWN = "known"
    REFUSED = "refused"


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a body by its position; where and why of a refused one, or why unsure."""

    index: int
    state: State
    id: str = ""
    pointer: str = ""
    detail: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one body; all but the refused ones are in the log for good.

    Of ``unsure`` of the accepted ones it is not known whether the ledger had them already.
    """

    accepted: int
    known: int
    refused: int
    unsure: int
    events: tuple[Told, ...]


def receipt(events: tuple[Told, ...]) -> Receipt:
    """The events, counted."""
    states = [event.state for event in events]
    return Receipt(
        accepted=states.count(State.ACCEPTED),
        known=states.count(State.KNOWN),
        refused=states.count(State.REFUSED),
        unsure=sum(event.state is State.ACCEPTED and event.detail != "" for event in events),
        events=events,
    )


class NotTakenError(Exception):
    """Nothing of a body was taken; ``refused`` says why: one without position is the body's own."""

    def __init__(self, refused: tuple[Told, ...], *, status: int = 400) -> None:
        """At least one of ``refused``."""
        super().__init__(said(refused[0]))
        self.refused = refused
        self.status = status


WHOLE = -1
"""As a position: what is wrong is the body itself."""


def said(told: Told) -> str:
    """Where and why, in one sentence."""
    place = "" if told.index == WHOLE else f"event {told.index}: "
    pointer = f"{told.pointer}: " if told.pointer else ""
    return f"{place}{pointer}{told.detail}"
