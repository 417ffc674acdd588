"""YAML and JSON as plain values, with the line of each field; what could harm is refused.

YAML is built from the parser's events one by one, so that everything is counted before it grows:
no tags, no key twice, no more levels and values than a spec could need, and anchors only for who
asks for them: what an alias repeats counts again. JSON is held to the same. What comes out can
always be written as JSON again.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from midstage.contracts.errors import RefusedError

DEEPEST = 32
MOST_VALUES = 20_000
LARGEST_NUMBER = 2**63 - 1
LONGEST_KEY = 512
LONGEST_PATH = 512
"""Lines of longer paths are not remembered: each value has a path with all keys above it."""

_PARSER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"
_MADE = (f"{_TAG}null", f"{_TAG}bool", f"{_TAG}int", f"{_TAG}float")
"""What a plain scalar can become; dates and the like stay the text that they are."""
_RESOLVER = yaml.resolver.Resolver()
_CONSTRUCTOR = yaml.constructor.SafeConstructor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its value, and the line (from 1) of each field by its path, where known."""

    value: object
    lines: Mapping[str, int]


def of_yaml(
    text: str, *, texts: Collection[str] = (), plain: Collection[str] = (), anchors: int = 0
) -> Iterator[Document]:
    """The documents that are not empty; RefusedError with the line and column of what is wrong.

    What stands under the keys ``texts`` is text as it is written: ``no`` and ``007`` stay so;
    but not beneath the keys ``plain``, whose names are anybody's. So many ``anchors`` are taken,
    with their aliases and ``<<``.
    """
    events = yaml.parse(text, Loader=_PARSER)
    reading = _Reading(events, texts=frozenset(texts), plain=frozenset(plain), anchors=anchors)
    try:
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                lines: dict[str, int] = {}
                value = reading.value(next(events), "", lines)
                if value is not None:
                    yield Document(value=value, lines=lines)
    except yaml.YAMLError as e:
        raise RefusedError(" ".join(str(e).split())) from e


def of_json(text: str) -> Iterator[Document]:
    """The one document; RefusedError with the line and column of what is wrong."""
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as e:
        raise RefusedError(f"{e.msg} (line {e.lineno}, column {e.colno})") from e
    except ValueError as e:
        raise RefusedError("a number has too many digits") from e
    except RecursionError as e:
        raise RefusedError(f"it nests deeper than {DEEPEST} levels") from e
    _Counted().check(value, 0)
    yield Document(value=value, lines={})


def beneath(path: str, key: str) -> str:
    """The path of the field ``key`` of what is at ``path``."""
    return f"{path}.{key}" if path else key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A value with an anchor: how many values it is written out, and on how many levels."""

    value: object
    size: int
    levels: int


@dataclass(slots=True)
class _Reading:
    """Values from the parser's events."""

    events: Iterator[yaml.Event]
    texts: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    anchors: int = 0
    left: int = MOST_VALUES
    depth: int = 0
    named: dict[str, _Named] = field(default_factory=dict)

    def value(self, event: yaml.Event, path: str, lines: dict[str, int]) -> object:
        """What begins with ``event``, read to its end."""
        if isinstance(event, yaml.AliasEvent):
            return self._again(event)
        before = self.left
        self._spend(1, event)
        anchor = getattr(event, "anchor", None)
        if anchor is None:
            return self._new(event, path, lines)
        if len(self.named) >= self.anchors:
            raise RefusedError(f"{self._too_many()}{_at(event)}")
        found = self._new(event, path, lines)
        self.named[anchor] = _Named(value=found, size=before - self.left, levels=_levels(found))
        return found

    def _again(self, event: yaml.AliasEvent) -> object:
        """What has the name, which counts as if it were written out."""
        if not self.anchors:
            raise RefusedError(f"{self._too_many()}{_at(event)}")
        name = event.anchor or ""
        named = self.named.get(name)
        if named is None:
            raise RefusedError(f"no anchor before has the name {_short(name)}{_at(event)}")
        self._spend(named.size, event)
        if self.depth + named.levels > DEEPEST:
            raise RefusedError(f"it nests deeper than {DEEPEST} levels{_at(event)}")
        return named.value

    def _spend(self, values: int, event: yaml.Event) -> None:
        self.left -= values
        if self.left < 0:
            raise RefusedError(f"it has more than {MOST_VALUES} values{_at(event)}")

    def _too_many(self) -> str:
        if not self.anchors:
            return "anchors and aliases are not taken; write it out"
        return f"it has more than {self.anchors} anchors"

    def _new(self, event: yaml.Event, path: str, lines: dict[str, int]) -> object:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise RefusedError(f"tags like {_short(str(tag))} are not taken{_at(event)}")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        self.depth += 1
        if self.depth > DEEPEST:
            raise RefusedError(f"it nests deeper than {DEEPEST} levels{_at(event)}")
        is_list = isinstance(event, yaml.SequenceStartEvent)
        found = self._list(path, lines) if is_list else self._mapping(path, lines)
        self.depth -= 1
        return found

    def _list(self, path: str, lines: dict[str, int]) -> list[object]:
        found: list[object] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            where = f"{path}[{len(found)}]"
            _remember(lines, where, event)
            found.append(self.value(event, where, lines))
        return found

    def _mapping(self, path: str, lines: dict[str, int]) -> dict[str, object]:
        found: dict[str, object] = {}
        merged: dict[str, object] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if self.anchors and _is_merge(event):
                merged = {**self._merged(path, lines), **merged}
                continue
            key = self.value(event, path, lines)
            if not isinstance(key, str):
                raise RefusedError(f"the field {key!r} is no text; put it in quotes{_at(event)}")
            _check_key(key)
            if key in found:
                raise RefusedError(f"the key {_short(key)!r} stands twice{_at(event)}")
            where = beneath(path, key)
            _remember(lines, where, event)
            found[key] = self._under(key, next(self.events), where, lines)
        return {**merged, **found} if merged else found

    def _merged(self, path: str, lines: dict[str, int]) -> dict[str, object]:
        """What stands behind ``<<``: a mapping, or several, of which the first that has a key."""
        event = next(self.events)
        said = self.value(event, beneath(path, _MERGE), lines)
        merged: dict[str, object] = {}
        for each in said if isinstance(said, list) else [said]:
            if not isinstance(each, dict):
                raise RefusedError(f"{_MERGE} takes mappings alone{_at(event)}")
            merged = {**each, **merged}
        return merged

    def _under(self, key: str, event: yaml.Event, where: str, lines: dict[str, int]) -> object:
        texts = self.texts
        self.texts = frozenset() if key in self.plain else texts
        made = self.value(event, where, lines)
        self.texts = texts
        if key in self.texts and isinstance(event, yaml.ScalarEvent) and isinstance(made, int):
            return _whole(event.value, event)
        return made


def _is_merge(event: yaml.Event) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == _MERGE


def _levels(value: object) -> int:
    match value:
        case dict():
            return 1 + max((_levels(each) for each in value.values()), default=0)
        case list():
            return 1 + max((_levels(each) for each in value), default=0)
        case _:
            return 0


def _remember(lines: dict[str, int], path: str, event: yaml.Event) -> None:
    if len(path) <= LONGEST_PATH:
        lines[path] = _line(event)


def _check_key(key: str) -> None:
    if len(key) > LONGEST_KEY:
        raise RefusedError(f"the key {_short(key)!r} is longer than {LONGEST_KEY} signs")


def _scalar(event: yaml.ScalarEvent) -> object:
    text = event.value
    tag = f"{_TAG}str"
    if event.implicit[0]:
        tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # as types-PyYAML has it
    if tag not in _MADE:
        return _whole(text, event)
    try:
        made: object = _CONSTRUCTOR.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, OverflowError):
        made = math.inf
    if _is_beyond(made):
        raise RefusedError(f"{_short(text)} is no number that can be kept{_at(event)}")
    return made


def _whole(text: str, event: yaml.Event) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise RefusedError(f"half a character stands in a text{_at(event)}") from e
    return text


@dataclass(slots=True)
class _Counted:
    """Holds what another parser has read to the same bounds."""

    left: int = MOST_VALUES

    def check(self, value: object, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise RefusedError(f"it has more than {MOST_VALUES} values")
        if depth > DEEPEST:
            raise RefusedError(f"it nests deeper than {DEEPEST} levels")
        match value:
            case dict():
                for key, inner in value.items():
                    self.check(key, depth)
                    self.check(inner, depth + 1)
            case list():
                for inner in value:
                    self.check(inner, depth + 1)
            case _:
                _check_scalar(value)


def _check_scalar(value: object) -> None:
    if _is_beyond(value):
        raise RefusedError("a number is too large to be kept")
    if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise RefusedError("half a character stands in a text")


def _is_beyond(value: object) -> bool:
    """Whether it is a number that JSON, or 64 bits, can't hold."""
    match value:
        case float():
            return not math.isfinite(value)
        case int():
            return abs(value) > LARGEST_NUMBER
        case _:
            return False


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    for key in found:
        _check_key(key)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise RefusedError(f"the key {_short(twice)!r} stands twice")
    return found


def _no_number(word: str) -> float:
    raise RefusedError(f"{word} is no number that can be kept")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _at(event: yaml.Event) -> str:
    column = event.start_mark.column + 1 if event.start_mark else 0
    return f" (line {_line(event)}, column {column})"
