"""JSON schemas of facts, for documents that are generated: what msgspec says, and a little more.

Times have their format, a discriminator is a name as AsyncAPI wants it, and descriptions are the
docstrings without their indentation, whatever Python made of them.
"""

from collections.abc import Iterator, Sequence
from inspect import cleandoc

import msgspec
from msgspec import inspect

from midstage.contracts.yaml import Node

_REF = "#/components/schemas/{name}"


def schemas(types: Sequence[object]) -> tuple[list[Node], dict[str, Node]]:
    """The schema of each type, and by name, in order, those that they refer to."""
    roots, components = msgspec.json.schema_components(types, ref_template=_REF)
    named = {name: _plain(components[name]) for name in sorted(components)}
    for struct in {each.cls.__name__: each for each in structs(types)}.values():
        _mark_times(struct, named[struct.cls.__name__])
    return [_plain(root) for root in roots], named


def _mark_times(struct: inspect.StructType, schema: Node) -> None:
    """Msgspec leaves out the format of times that need not have a zone."""
    match schema:
        case {"properties": dict(properties)}:
            for field in struct.fields:
                if _is_time(field.type):
                    _mark(properties[field.encode_name])
        case _:
            raise TypeError(f"the schema of {struct.cls.__name__} has no properties")


def _mark(schema: Node) -> None:
    match schema:
        case {"anyOf": list(either)}:
            for each in either:
                _mark(each)
        case dict() if schema.get("type") == "string":
            schema["format"] = "date-time"
        case _:
            return


def _is_time(of: inspect.Type) -> bool:
    match of:
        case inspect.DateTimeType():
            return True
        case inspect.UnionType():
            return any(_is_time(each) for each in of.types)
        case _:
            return False


def structs(types: Sequence[object]) -> Iterator[inspect.StructType]:
    """Each struct that the types are or hold, as often as they do."""
    for each in types:
        yield from _within(inspect.type_info(each))


def _within(of: inspect.Type) -> Iterator[inspect.StructType]:
    match of:
        case inspect.StructType():
            yield of
            for field in of.fields:
                yield from _within(field.type)
        case inspect.UnionType():
            for each in of.types:
                yield from _within(each)
        case inspect.VarTupleType():
            yield from _within(of.item_type)
        case inspect.DictType():
            yield from _within(of.value_type)
        case inspect.Metadata():
            yield from _within(of.type)
        case _:
            return


def _plain(node: object) -> Node:
    """A schema in AsyncAPI's words: its discriminator is a name; docstrings without indentation."""
    match node:
        case dict():
            return {str(name): _worded(str(name), value) for name, value in node.items()}
        case list() | tuple():
            return [_plain(each) for each in node]
        case str() | bool() | int() | float() | None:
            return node
        case _:
            raise TypeError(f"{type(node).__name__} is nothing that a schema holds")


def _worded(name: str, value: object) -> Node:
    match name, value:
        case "description", str():
            return cleandoc(value).replace("``", "`")
        case "discriminator", {"propertyName": str(field)}:
            return field
        case _:
            return _plain(value)
