"""The JSON schema of an application's document, ``midstage.dev/v1``, made from the types of a spec.

Published as docs/application.schema.json and by deploy. It says all that a type can say; what
fields mean for each other (``scaling.min`` and ``scaling.max``) deploy alone checks.
"""

import json
from typing import get_args

import msgspec

from midstage.contracts import described
from midstage.contracts.apps import AppName, AppSpec
from midstage.contracts.schemas import structs
from midstage.contracts.yaml import Node

API_VERSION = "midstage.dev/v1"
KIND = "Application"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"


def schema() -> dict[str, Node]:
    """The whole schema, in JSON Schema 2020-12; the same each time."""
    _, parts = msgspec.json.schema_components([AppSpec], ref_template=_REF)
    found = {each.cls.__name__: each.cls for each in structs([AppSpec])}
    defs = {name: _part(_node(parts[name]), found.get(name)) for name in sorted(parts)}
    _let_scripts_be_files(defs)
    return {
        "$schema": _DIALECT,
        "title": KIND,
        "description": described.about(AppSpec),
        **_closed(
            {
                "apiVersion": {"const": API_VERSION},
                "kind": {"const": KIND},
                "metadata": _closed({"name": _name()}),
                "spec": {"$ref": _REF.format(name="AppSpec")},
            }
        ),
        "$defs": defs,
    }


def text() -> str:
    """The schema as its file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _closed(properties: dict[str, Node]) -> dict[str, Node]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _name() -> Node:
    (meta,) = get_args(AppName)[1:]
    return {"type": "string", "pattern": meta.pattern}


def _part(part: Node, cls: type | None) -> Node:
    """One part of a spec: closed against unknown fields, each field with what is said of it."""
    if not isinstance(part, dict) or cls is None:
        return part
    told = described.fields(cls)
    properties = part["properties"]
    if not isinstance(properties, dict):
        raise TypeError(f"the schema of {cls.__name__} has no properties")
    return {
        **part,
        "description": described.about(cls),
        "properties": {name: _field(field, told.get(name)) for name, field in properties.items()},
        "additionalProperties": False,
    }


def _field(field: Node, told: str | None) -> Node:
    return {**field, "description": told} if isinstance(field, dict) and told else field


def _let_scripts_be_files(defs: dict[str, Node]) -> None:
    """In a document a check may name the file of its script instead."""
    check = defs["Check"]
    if not isinstance(check, dict) or not isinstance(check["properties"], dict):
        raise TypeError("the schema of a check has no properties")
    file: Node = {
        "type": "string",
        "minLength": 1,
        "description": "the file of the script, relative to the spec, instead of `script`",
    }
    ways: list[Node] = [{"required": ["script"]}, {"required": ["script_file"]}]
    defs["Check"] = {
        **check,
        "properties": {**check["properties"], "script_file": file},
        "required": ["name"],
        "oneOf": ways,
    }


def _node(part: object) -> Node:
    """What msgspec gives, as a tree that can be written."""
    known: Node = msgspec.json.decode(msgspec.json.encode(part))
    return known
