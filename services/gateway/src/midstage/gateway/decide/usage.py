"""Which units one request adds, from what the replica said or from what passed.

The replica's own ``x-midstage-usage`` wins (trailer before header), then the ``usage`` object of an
OpenAI-compatible answer, then the events of a stream that passed; where the answer did not end, no
fewer output tokens than those events. What can't be believed gives no units and the label
``usage_unreadable``. ``input_tokens`` is the total, of which
``cached_input_tokens`` are a part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from midstage.contracts.errors import UnreadableError
from midstage.contracts.requests import Outcome
from midstage.contracts.units import (
    CACHED_INPUT_TOKENS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    REQUESTS,
    micros,
)

UNREADABLE = "usage_unreadable"
_MOST_UNITS = 31  # and ``requests``
_LONGEST_REASON = 200

Units = Mapping[str, int | float]
Tokens = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one line of the request log has about units."""

    by_replica: str | None
    in_body: str | None
    events: int
    unread: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The units of one request; ``unreadable`` is empty where there was nothing to doubt."""

    units: Units
    estimated: bool = False
    unreadable: str = ""


class _Details(msgspec.Struct):
    cached_tokens: Tokens | None = None


class _OpenAI(msgspec.Struct):
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    input_tokens_details: _Details | None = None


_stated = msgspec.json.Decoder(
    dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], int | float]
)
_openai = msgspec.json.Decoder(_OpenAI)


def usage(said: Said, *, outcome: Outcome, complete: bool, delivered: bool) -> Usage:
    """The units of a request with this outcome.

    ``complete``: the answer ended; else what is known of it is an estimate. ``delivered``: the
    caller got a part of the answer at least.
    """
    if outcome is Outcome.CANCELLED and not delivered:
        return Usage(units={})
    try:
        told = _told(said, complete=complete)
    except UnreadableError as e:
        return Usage(units=_request(outcome), unreadable=str(e)[:_LONGEST_REASON])
    units = {**told.units, **_request(outcome)}
    estimated = bool(units) and (told.estimated or not complete)
    return Usage(units=units, estimated=estimated, unreadable=told.unreadable)


def _told(said: Said, *, complete: bool) -> Usage:
    if said.by_replica is not None:
        return Usage(units=_by_replica(said.by_replica))
    if said.in_body is not None:
        units = _in_body(said.in_body)
        return Usage(units=units if complete else _with_events(units, said.events))
    if said.events:
        return Usage(units=_believable({OUTPUT_TOKENS: said.events}), estimated=True)
    return Usage(units={}, unreadable=(said.unread or "")[:_LONGEST_REASON])


def _request(outcome: Outcome) -> Units:
    return {REQUESTS: 1} if outcome in (Outcome.OK, Outcome.CANCELLED) else {}


def _by_replica(text: str) -> Units:
    try:
        stated = _stated.decode(text)
    except (msgspec.DecodeError, RecursionError) as e:
        raise UnreadableError(f"x-midstage-usage is no object of units: {e}") from e
    return _believable({name: amount for name, amount in stated.items() if name != REQUESTS})


def _in_body(text: str) -> Units:
    try:
        found = _openai.decode(text)
    except (msgspec.DecodeError, RecursionError) as e:
        raise UnreadableError(f"the usage object is not OpenAI's: {e}") from e
    inputs = _first(found.prompt_tokens, found.input_tokens)
    details = found.prompt_tokens_details or found.input_tokens_details or _Details()
    units = {
        INPUT_TOKENS: inputs,
        OUTPUT_TOKENS: _first(found.completion_tokens, found.output_tokens),
        CACHED_INPUT_TOKENS: details.cached_tokens,
    }
    known = {name: amount for name, amount in units.items() if amount is not None}
    if not known:
        raise UnreadableError("the usage object has no tokens")
    if known.get(CACHED_INPUT_TOKENS, 0) > (inputs or 0):
        raise UnreadableError("more input tokens were cached than there were")
    return _believable(known)


def _with_events(units: Units, events: int) -> Units:
    """A usage stated on the way may be one choice's of several; an event is a token at least."""
    if events <= units.get(OUTPUT_TOKENS, 0):
        return units
    return _believable({**units, OUTPUT_TOKENS: events})


def _believable(units: Units) -> Units:
    if len(units) > _MOST_UNITS:
        raise UnreadableError(f"{len(units)} kinds of units are more than {_MOST_UNITS}")
    for amount in units.values():
        micros(amount)
    return units


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
