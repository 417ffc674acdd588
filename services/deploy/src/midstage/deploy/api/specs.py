"""A spec as JSON becomes an ``AppSpec`` or a refusal that names each wrong field by its path.

Readers of the log ignore what they do not know; people who write a spec want to hear of a typo. So
unknown fields are refused here, with the nearest known name. An application that scales and says no
``replicas`` begins with its minimum.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec
from fastapi import APIRouter, Response

from midstage.contracts import application
from midstage.contracts.apps import AppName, AppSpec
from midstage.contracts.errors import RefusedError
from midstage.contracts.policy import Policy
from midstage.deploy.api import fields
from midstage.deploy.decide.specs import check
from midstage.specs.documents import of_json
from midstage.specs.texts import text

LARGEST_BYTES: Final = 256 * 1024
_TOLD = 20
_SCHEMA = {"application/schema+json": {"schema": {"type": "object"}}}


def spec_of(body: bytes) -> AppSpec:
    """The spec; RefusedError with the paths of what is wrong."""
    given = _given(body)
    if "apiVersion" in given:
        raise RefusedError("apiVersion: a whole document is here; send what stands under its spec")
    spec = _converted(given)
    if spec.scaling is not None and "replicas" not in given:
        spec = msgspec.structs.replace(spec, replicas=spec.scaling.min)
    check(spec)
    return spec


def policy_of(body: bytes) -> Policy:
    """The policy that stands under a spec's ``scaling``; RefusedError as for a whole spec."""
    policy = _converted({"scaling": _given(body)}).scaling
    assert policy is not None
    return policy


def _given(body: bytes) -> dict[str, object]:
    """The fields that were sent; RefusedError where there are none."""
    if len(body) > LARGEST_BYTES:
        raise RefusedError(
            f"the spec has {len(body)} bytes, {LARGEST_BYTES} are allowed", status=413
        )
    try:
        (document,) = of_json(text(body))
    except RefusedError as e:
        raise RefusedError(
            f"the spec is not JSON, as which midstage apply sends YAML: {e}", status=400
        ) from e
    given = document.value
    if not isinstance(given, dict):
        raise RefusedError("the spec is a JSON object with fields like command and replicas")
    return given


def _converted(given: dict[str, object]) -> AppSpec:
    unknown = list(islice(fields.unknown(given), _TOLD + 1))
    if unknown:
        rest = ["and more"] if len(unknown) > _TOLD else []
        raise RefusedError("; ".join([*unknown[:_TOLD], *rest]))
    try:
        return msgspec.convert(given, AppSpec)
    except (msgspec.ValidationError, RecursionError) as e:
        raise RefusedError(fields.misfit(given, str(e))) from e


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


def schema(kind: type[msgspec.Struct]) -> object:
    """The JSON schema of a spec, or of a part of it, in one piece."""
    (top,), parts = msgspec.json.schema_components([kind])
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
