"""Bodies as they came become what is asked for, or a refusal that names the field.

Readers of the log ignore what they do not know; people who set limits want to hear of a typo.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Name
from midstage.contracts.limits import REQUESTS, Terms, Unit
from midstage.limits.wire import LeasesBody
from midstage.throttle.model.checks import Check, Ended

LARGEST_BYTES: Final = 64 * 1024
_B = TypeVar("_B", bound=msgspec.Struct)
_By = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Why = Annotated[str, msgspec.Meta(max_length=500)]
_Label = Annotated[str, msgspec.Meta(max_length=256)]
_Labels = Annotated[dict[_Label, _Label], msgspec.Meta(max_length=32)]
_Units = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class LimitBody(Terms, frozen=True, kw_only=True):
    """The terms of a limit, who sets it and why."""

    by: _By = "api"
    why: _Why = ""


class PlanBody(msgspec.Struct, frozen=True, kw_only=True):
    """The plan that a customer shall be on, who says so and why."""

    plan: Name
    by: _By = "api"
    why: _Why = ""


class CheckBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request that might come: of whom, where to, and what it will use, ``requests`` too.

    ``request``: its id, where its end will be told, so that what it uses is reserved until then.
    """

    customer: Name
    app: Name
    request: Annotated[str, msgspec.Meta(max_length=256)] = ""
    key: Annotated[str, msgspec.Meta(max_length=256)] = ""
    labels: _Labels = {}
    units: Annotated[dict[Unit, _Units], msgspec.Meta(max_length=64)] = {}


class EndedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is over, and what it used; of a unit that is not named, its estimate."""

    request: Name
    customer: Name
    app: Name
    key: Annotated[str, msgspec.Meta(max_length=256)] = ""
    labels: _Labels = {}
    units: Annotated[dict[Unit, _Units], msgspec.Meta(max_length=64)] = {}


_ENDED: Final = msgspec.json.Decoder(EndedBody)
_LIMIT: Final = msgspec.json.Decoder(LimitBody)
_PLAN: Final = msgspec.json.Decoder(PlanBody)
_CHECK: Final = msgspec.json.Decoder(CheckBody)
_LEASES: Final = msgspec.json.Decoder(LeasesBody)


def limit_of(body: bytes) -> LimitBody:
    """What a limit shall be; RefusedError with the field that is wrong."""
    return _read(_LIMIT, body)


def plan_of(body: bytes) -> PlanBody:
    """The plan; RefusedError with the field that is wrong."""
    return _read(_PLAN, body)


def check_of(body: bytes) -> Check:
    """The check; RefusedError with the field that is wrong."""
    asked = _read(_CHECK, body)
    units = dict(asked.units)
    hits = units.pop(REQUESTS, 1)
    return Check(
        customer=asked.customer,
        app=asked.app,
        hits=hits,
        key=asked.key,
        request=asked.request,
        units=units,
        labels=asked.labels,
    )


def leases_of(body: bytes) -> LeasesBody:
    """Questions and returns of a holder; RefusedError with the field that is wrong."""
    return _read(_LEASES, body)


def ended_of(body: bytes) -> Ended:
    """The request's end; RefusedError with the field that is wrong."""
    told = _read(_ENDED, body)
    return Ended(
        request=told.request,
        customer=told.customer,
        app=told.app,
        key=told.key,
        labels=told.labels,
        used=told.units,
    )


def described(body: type[msgspec.Struct]) -> dict[str, object]:
    """A body by its schema, for the API's document; the route itself takes it raw."""
    content = {"application/json": {"schema": _schema(body)}}
    return {"requestBody": {"required": True, "content": content}}


def _schema(body: type[msgspec.Struct]) -> object:
    (top,), parts = msgspec.json.schema_components([body])
    return _resolved(top, parts)


def _read(decoder: msgspec.json.Decoder[_B], body: bytes) -> _B:
    if len(body) > LARGEST_BYTES:
        raise RefusedError(
            f"the body has {len(body)} bytes, {LARGEST_BYTES} are allowed", status=413
        )
    try:
        read, given = decoder.decode(body), msgspec.json.decode(body)
    except msgspec.ValidationError as e:
        raise RefusedError(_told(str(e), decoder.type)) from e
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise RefusedError(f"the body is no JSON: {e}", status=400) from e
    unknown = list(_unknown(given, read, ""))
    if unknown:
        raise RefusedError("; ".join(f"{path[:140]}: unknown field" for path in unknown[:20]))
    return read


def _told(said: str, body: type[msgspec.Struct]) -> str:
    """The path to the front: ``algorithm.period_s: Expected …``; and words that are known there."""
    text, _, at = said.partition(" - at `")
    where = at.rstrip("`").removeprefix("$").lstrip(".")
    known = list(_words(_schema(body), where.split("."))) if text.startswith("Invalid") else []
    if known:
        text = f"{text}, none of {', '.join(known)}"
    return f"{where}: {text}" if where else text


def _words(schema: object, path: Sequence[str]) -> Iterator[str]:
    """What may stand there, where that is one of a few words."""
    match schema:
        case {"anyOf": list(several)}:
            for each in several:
                yield from _words(each, path)
        case {"enum": list(words)} if not path:
            yield from map(str, words)
        case {"properties": dict(fields)} if path and path[0] in fields:
            yield from _words(fields[path[0]], path[1:])


def _unknown(given: object, read: object, path: str) -> Iterator[str]:
    """The paths of what was given and not read."""
    if not isinstance(given, dict) or not isinstance(read, msgspec.Struct):
        return
    names = {each.encode_name: each.name for each in msgspec.structs.fields(read)}
    for key, value in given.items():
        where = f"{path}.{key}" if path else str(key)
        if key in names:
            yield from _unknown(value, getattr(read, names[key]), where)
        elif key != read.__struct_config__.tag_field:
            yield where


def _resolved(node: object, parts: dict[str, object]) -> object:
    """The schema with each reference replaced by what it names; bodies do not nest themselves."""
    match node:
        case {"$ref": str(name)}:
            return _resolved(parts[name.rpartition("/")[2]], parts)
        case dict():
            kept = {key: value for key, value in node.items() if key != "discriminator"}
            return {key: _resolved(value, parts) for key, value in kept.items()}
        case list() | tuple():
            return [_resolved(value, parts) for value in node]
        case _:
            return node
