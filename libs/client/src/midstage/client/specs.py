"""Applications as people write them: YAML or JSON, one or several documents, by name.

A document is one application with its ``name``, or ``apps``: a list of such, or a mapping from
names to specs. What is in a spec is deploy's to judge. Aliases are refused (a few lines of them can
become gigabytes), and so is a key that stands twice.
"""

import sys
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path

import yaml

from midstage.contracts.errors import RefusedError

STDIN = "-"
LARGEST_BYTES = 16 * 1024 * 1024

Spec = Mapping[str, object]


def read(files: list[str]) -> dict[str, Spec]:
    """The specs by name, in the order they stand; RefusedError names the file and what is wrong."""
    found: dict[str, Spec] = {}
    for file in files:
        for name, spec in _specs(file):
            if name in found:
                raise RefusedError(f"{_called(file)}: application {name!r} is there twice")
            found[name] = spec
    if not found:
        raise RefusedError(f"no application is in {', '.join(map(_called, files))}")
    return found


def _specs(file: str) -> Iterator[tuple[str, Spec]]:
    try:
        documents = list(yaml.load_all(_text(file), Loader=_Loader))
    except (yaml.YAMLError, RecursionError) as e:
        raise RefusedError(f"{_called(file)}: {' '.join(str(e).split())}") from e
    for document in documents:
        if document is None:
            continue
        try:
            yield from _of(document)
        except RefusedError as e:
            raise RefusedError(f"{_called(file)}: {e}") from e


def _of(document: object) -> Iterator[tuple[str, Spec]]:
    match document:
        case {"apps": dict() as apps, **rest}:
            _nothing_else(rest)
            for name, spec in apps.items():
                yield _name(name), _mapping(spec, f"apps.{name}")
        case {"apps": list() as apps, **rest}:
            _nothing_else(rest)
            for number, spec in enumerate(apps):
                yield _named(_mapping(spec, f"apps[{number}]"), f"apps[{number}].")
        case {"apps": _}:
            raise RefusedError("apps: is a list of applications, or a mapping of names to specs")
        case _:
            yield _named(_mapping(document, "a document"), "")


def _named(spec: Spec, where: str) -> tuple[str, Spec]:
    if "name" not in spec:
        raise RefusedError(f"{where}name: is missing; say which application it is")
    return _name(spec["name"]), {key: value for key, value in spec.items() if key != "name"}


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise RefusedError(f"name: {name!r} is no name; put it in quotes")
    return name


def _mapping(value: object, where: str) -> Spec:
    if not isinstance(value, dict):
        raise RefusedError(f"{where}: is a mapping with fields like command and replicas")
    for key in value:
        if not isinstance(key, str):
            raise RefusedError(f"{where}: the field {key!r} is no text; put it in quotes")
    return value


def _nothing_else(rest: Mapping[object, object]) -> None:
    if rest:
        raise RefusedError(f"{next(iter(rest))}: stands beside apps; put it into an application")


def _text(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
        if len(raw) > LARGEST_BYTES:
            raise RefusedError(f"{_called(file)} is larger than {LARGEST_BYTES} bytes")
        return raw.decode()
    except (OSError, UnicodeDecodeError) as e:
        raise RefusedError(f"{_called(file)} can't be read: {e}") from e


def _called(file: str) -> str:
    return "the standard input" if file == STDIN else file


class _Loader(yaml.SafeLoader):
    """YAML without aliases and without keys that stand twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias where it stands."""
        if self.check_event(yaml.AliasEvent):
            at = _at(self.get_mark())
            raise yaml.YAMLError(f"aliases are not taken; write it out{at}")
        return super().compose_node(parent, index)

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002  as overridden
    ) -> dict[Hashable, object]:
        """Refuse a key that stands twice: the first one would be lost without a word."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                at = _at(node.value[number][0].start_mark)
                raise yaml.YAMLError(f"the key {key!r} stands twice{at}")
        return super().construct_mapping(node, deep=deep)


def _at(mark: yaml.Mark) -> str:
    return f" (line {mark.line + 1}, column {mark.column + 1})"
