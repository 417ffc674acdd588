"""Writes YAML of names, texts, numbers, lists: no more than generated documents need.

Texts that YAML could take for something else are quoted as JSON quotes them, which YAML reads
alike; order is kept. Contracts stand on msgspec alone, so no YAML library is used.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, Union

Node: TypeAlias = Union[bool, int, float, str, "list[Node]", "dict[str, Node]", None]
"""What a document consists of."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = re.compile(r"(y|n|yes|no|on|off|true|false|null|nan|inf)", re.IGNORECASE)
_STEP = "  "


def yaml(node: Mapping[str, Node]) -> str:
    """The text of ``node``, with a line end after each line."""
    return "".join(f"{line}\n" for line in _of_names(node))


def _of_names(node: Mapping[str, Node]) -> Iterator[str]:
    for name, value in node.items():
        yield from _entry(f"{_text(name)}:", value)


def _of_list(node: Sequence[Node]) -> Iterator[str]:
    for value in node:
        if isinstance(value, dict) and value:
            first, *rest = _of_names(value)
            yield f"- {first}"
            yield from (f"{_STEP}{line}" for line in rest)
        else:
            yield from _entry("-", value)


def _entry(begin: str, value: Node) -> Iterator[str]:
    match value:
        case dict() if value:
            yield begin
            yield from (f"{_STEP}{line}" for line in _of_names(value))
        case list() if value:
            yield begin
            yield from (f"{_STEP}{line}" for line in _of_list(value))
        case str():
            yield f"{begin} {_text(value)}"
        case float():
            yield f"{begin} {_number(value)}"
        case _:
            yield f"{begin} {json.dumps(value)}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text):
        return text
    return "".join(_printable(sign) for sign in json.dumps(text, ensure_ascii=False))


def _printable(sign: str) -> str:
    return sign if sign.isprintable() else f"\\U{ord(sign):08x}"


def _number(value: float) -> str:
    mantissa, sign, exponent = repr(value).partition("e")
    point = "" if "." in mantissa else ".0"  # YAML 1.1 takes 1e-5 for a text
    return f"{mantissa}{point}{sign}{exponent}"
