"""A spec as JSON becomes an ``AppSpec`` or a refusal that names each wrong field by its path.

Readers of the log ignore what they do not know; people who write a spec want to hear of a typo. So
unknown fields are refused here, with the nearest known name. An application that scales and says no
``replicas`` begins with its minimum.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from fastapi import APIRouter, Response
from msgspec import inspect

from midstage.contracts import application
from midstage.contracts.apps import AppName, AppSpec
from midstage.contracts.errors import RefusedError
from midstage.deploy.decide.specs import check

LARGEST_BYTES: Final = 256 * 1024
_NO_PATH = "$"
_SCHEMA = {"application/schema+json": {"schema": {"type": "object"}}}


def spec_of(body: bytes) -> AppSpec:
    """The spec; RefusedError with the paths of what is wrong."""
    if len(body) > LARGEST_BYTES:
        raise RefusedError(
            f"the spec has {len(body)} bytes, {LARGEST_BYTES} are allowed", status=413
        )
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise RefusedError(f"the spec is not JSON: {e}", status=400) from e
    if not isinstance(given, dict):
        raise RefusedError("the spec is a JSON object with fields like command and replicas")
    if "apiVersion" in given:
        raise RefusedError("apiVersion: a whole document is here; send what stands under its spec")
    unknown = list(_unknown(given, inspect.type_info(AppSpec), ""))
    if unknown:
        raise RefusedError("; ".join(unknown))
    try:
        spec = msgspec.convert(given, AppSpec)
    except (msgspec.ValidationError, RecursionError) as e:
        raise RefusedError(_with_path(str(e))) from e
    if spec.scaling is not None and "replicas" not in given:
        spec = msgspec.structs.replace(spec, replicas=spec.scaling.min)
    check(spec)
    return spec


def name_of(name: str) -> str:
    """The name of an application; RefusedError where it can be none."""
    try:
        return msgspec.convert(name, AppName)
    except msgspec.ValidationError as e:
        raise RefusedError(
            f"name: {name!r} is none; it has at most 42 small letters, digits and inner -"
        ) from e


def published() -> APIRouter:
    """The route with the schema of a whole document, as docs/application.schema.json has it."""
    routes = APIRouter(prefix="/v1", tags=["apps"])
    body = application.text().encode()

    @routes.get("/schema", response_class=Response, responses={200: {"content": _SCHEMA}})
    async def get_schema() -> Response:
        return Response(body, media_type="application/schema+json")

    return routes


def schema() -> object:
    """The JSON schema of a spec, in one piece."""
    (top,), parts = msgspec.json.schema_components([AppSpec])
    return _resolved(top, parts)


def _resolved(node: object, parts: Mapping[str, object]) -> object:
    """The schema with each reference replaced by what it names; specs do not nest themselves."""
    match node:
        case {"$ref": str(name)}:
            return _resolved(parts[name.rpartition("/")[2]], parts)
        case dict():
            return {key: _resolved(value, parts) for key, value in node.items()}
        case list() | tuple():
            return [_resolved(value, parts) for value in node]
        case _:
            return node


def _unknown(value: object, kind: inspect.Type, path: str) -> Iterator[str]:
    """A sentence for each field that nobody knows."""
    match kind:
        case inspect.StructType(fields=fields) if isinstance(value, dict):
            known = {field.encode_name: field.type for field in fields}
            for name, inner in value.items():
                where = f"{path}.{name}" if path else str(name)
                if name in known:
                    yield from _unknown(inner, known[name], where)
                else:
                    yield f"{where}: unknown field{_hint(str(name), list(known))}"
        case inspect.UnionType(types=types):
            for one in types:
                yield from _unknown(value, one, path)
        case inspect.VarTupleType(item_type=item) if isinstance(value, list):
            for number, inner in enumerate(value):
                yield from _unknown(inner, item, f"{path}[{number}]")
        case _:
            return


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"


def _with_path(said: str) -> str:
    """msgspec's sentence with the path in front: ``scaling.max: Expected …``."""
    text, _, at = said.partition(" - at `")
    where = at.rstrip("`").removeprefix(_NO_PATH).lstrip(".").replace("[...]", ".*")
    missing = text.partition("missing required field `")[2].rstrip("`")
    if missing:
        return f"{where}.{missing}: is missing" if where else f"{missing}: is missing"
    return f"{where}: {text}" if where else text
