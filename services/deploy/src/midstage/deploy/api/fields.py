"""Where a spec is wrong: fields that nobody knows and values that don't fit, by their exact paths.

What msgspec says of a value is kept; the path comes to the front, a key of a mapping is named, and
a word that is none of the known ones is told with the nearest.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import inspect

from midstage.contracts.apps import AppSpec

Given = Mapping[str, object]

_ROOT = "$"
_SOME = "[...]"
_KEY = "key` in `"
_WHY = {
    "disruption.max_unavailable": "with 0 nobody could ever empty a node with a replica",
}


def unknown(given: Given) -> Iterator[str]:
    """A sentence for each field that nobody knows, with the nearest that is known."""
    return _unknown(given, inspect.type_info(AppSpec), "")


def misfit(given: Given, said: str) -> str:
    """The sentence of a ValidationError with the exact path in front: ``scaling.max: Expected …``.

    ``said`` is what ``msgspec.convert(given, AppSpec)`` said.
    """
    text, _, at = said.partition(" - at `")
    where = at.rstrip("`").removeprefix(_KEY).removeprefix(_ROOT).lstrip(".")
    if _SOME in where or at.startswith(_KEY):
        before, _, behind = where.partition(_SOME)
        where = f"{before}.{_culprit(given, before.split('.'), said)}{behind}"
    missing = text.partition("missing required field `")[2].rstrip("`")
    if missing:
        return f"{where}.{missing}: is missing" if where else f"{missing}: is missing"
    hint = f"; {_WHY[where]}" if where in _WHY else _hint_of_word(text, where)
    return f"{where}: {text}{hint}" if where else text


def _unknown(value: object, kind: inspect.Type, path: str) -> Iterator[str]:
    match kind:
        case inspect.StructType() if isinstance(value, dict):
            yield from _unknown_of(value, kind, path)
        case inspect.UnionType(types=types):
            for one in types:
                yield from _unknown(value, one, path)
        case inspect.VarTupleType(item_type=item) if isinstance(value, list):
            for number, inner in enumerate(value):
                yield from _unknown(inner, item, f"{path}[{number}]")
        case inspect.DictType(value_type=item) if isinstance(value, dict):
            for name, inner in value.items():
                yield from _unknown(inner, item, f"{path}.{name}")
        case _:
            return


def _unknown_of(given: Given, kind: inspect.StructType, path: str) -> Iterator[str]:
    known = {field.encode_name: field.type for field in kind.fields}
    for name, inner in given.items():
        where = f"{path}.{name}" if path else name
        if name in known:
            yield from _unknown(inner, known[name], where)
        else:
            yield f"{where}: unknown field{_hint(name, list(known))}"


def _culprit(given: Given, path: Sequence[str], said: str) -> str:
    """Which key of the mapping at ``path`` it is that does not fit, or has what does not."""
    found: object = given
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    for key, value in found.items() if isinstance(found, dict) else ():
        alone: object = {key: value}
        for step in reversed(path):
            alone = {step: alone}
        try:
            msgspec.convert(alone, AppSpec)
        except msgspec.ValidationError as e:
            if str(e) == said:
                return str(key)
    return "*"


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"


def _hint_of_word(text: str, where: str) -> str:
    """The words that a field takes, where it takes but some."""
    word = text.partition("Invalid enum value '")[2].rstrip("'")
    if not word:
        return ""
    kind: inspect.Type = inspect.type_info(AppSpec)
    for step in where.split("."):
        name = step.partition("[")[0]
        fields = kind.fields if isinstance(kind, inspect.StructType) else ()
        kind = next((_inner(each.type) for each in fields if each.encode_name == name), kind)
    words = [str(each.value) for each in kind.cls] if isinstance(kind, inspect.EnumType) else []
    return _hint(word, words) if words else ""


def _inner(kind: inspect.Type) -> inspect.Type:
    """The part of a spec, or the words, that a field takes, one or many."""
    match kind:
        case inspect.VarTupleType(item_type=item) | inspect.DictType(value_type=item):
            return _inner(item)
        case inspect.UnionType(types=types):
            rest = [each for each in types if not isinstance(each, inspect.NoneType)]
            return _inner(rest[0])
        case _:
            return kind
