"""Files of rules become trees of descriptors, or are refused with that product's words.

A misspelt key is an error, not ignored: a limit that silently does not hold is the worst outcome.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from midstage.contracts.errors import RefusedError
from midstage.throttle.model.imported import Metadata, Node, Rule, Unit, Value

_KEYS: Final = frozenset(
    {
        "domain",
        "key",
        "value",
        "descriptors",
        "rate_limit",
        "unit",
        "requests_per_unit",
        "unlimited",
        "shadow_mode",
        "quota_mode",
        "name",
        "replaces",
        "detailed_metric",
        "value_to_metric",
        "share_threshold",
        "metadata",
    }
)
_FREE_OF_FORM: Final = "metadata"
MOST_METADATA: Final = 4096
"""Signs and values of one descriptor: an answer has the metadata of all its descriptors in it."""
DEEPEST_METADATA: Final = 16
"""Levels: a decoder of protobuf stops at 100 messages, and a map in a map is three."""
_UNITS: Final = {unit.value: unit for unit in Unit}
_WILDCARD: Final = "*"
_MOST_REQUESTS: Final = 2**32 - 1

Document = tuple[str, object]
"""A file's name, and what stands in it, decoded."""


class RuleError(RefusedError):
    """A file that can't be taken; ``path`` tells the place in it, as in ``descriptors[2].key``."""

    def __init__(self, why: str, *, file: str, path: str = "") -> None:
        """``why`` in that product's words, where it has some."""
        super().__init__(f"{file}: {why} (at {path})" if path else f"{file}: {why}", status=422)
        self.file = file
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in a file."""

    file: str
    path: str = ""

    def of(self, key: str, number: int | None = None) -> "_Place":
        """The place of a key in it, or of an item of the list there."""
        beneath = f"{self.path}.{key}" if self.path else key
        item = "" if number is None else f"[{number}]"
        return _Place(file=self.file, path=beneath + item)

    def refused(self, why: str) -> RuleError:
        """The error of this place."""
        return RuleError(why, file=self.file, path=self.path)


def domains_of(documents: Iterable[Document], *, merge: bool = False) -> Mapping[str, Node]:
    """The tree of each domain, which ``merge`` lets several files be of; RuleError says why."""
    domains: dict[str, Node] = {}
    for file, content in documents:
        place = _Place(file=file)
        root = _mapping(place, content)
        _check_keys(place, root)
        domain = _text(place, root, "domain")
        if not domain:
            raise place.refused("config file cannot have empty domain")
        if domain in domains and not merge:
            raise place.refused(f"duplicate domain '{domain}' in config file")
        node = domains.setdefault(domain, Node(rule=None, children={}, wildcards=[]))
        _load(place, node, f"{domain}.", root)
    return domains


def _load(above: _Place, parent: Node, path: str, holder: Mapping[str, object]) -> None:
    for number, each in enumerate(_list(above, holder, "descriptors")):
        place = above.of("descriptors", number)
        said = _mapping(place, each)
        key, value = _text(place, said, "key"), _text(place, said, "value")
        if not key:
            raise place.refused("descriptor has empty key")
        name = f"{key}_{value}" if value else key
        if name in parent.children:
            raise place.refused(f"duplicate descriptor composite key '{path}{name}'")
        rule, shared = _rule(place, said, path + name), _flag(place, said, "share_threshold")
        if shared and _WILDCARD not in name:
            raise place.refused(
                "share_threshold can only be used with wildcard values (ending with '*'), "
                f"but found key '{name}'",
            )
        node = Node(
            rule=rule,
            children={},
            wildcards=[],
            value_to_metric=_flag(place, said, "value_to_metric"),
            shared=shared,
        )
        _load(place, node, f"{path}{name}.", said)
        parent.children[name] = node
        if _WILDCARD in name:
            parent.wildcards.append(name)


def _rule(above: _Place, said: Mapping[str, object], metric: str) -> Rule | None:
    metadata = _metadata(above, said)
    if said.get("rate_limit") is None:
        return None
    place = above.of("rate_limit")
    terms = _mapping(place, said["rate_limit"])
    text, unlimited = _text(place, terms, "unit"), _flag(place, terms, "unlimited")
    unit = _UNITS.get(text.lower())
    if unlimited and unit is not None:
        raise place.refused("should not specify rate limit unit when unlimited")
    if not unlimited and unit is None:
        raise place.refused(f"invalid rate limit unit '{text}'")
    name = _text(place, terms, "name")
    return Rule(
        metric=metric,
        requests=_requests(place, terms),
        unit=unit,
        name=name,
        replaces=tuple(_replaced(place, terms, name)),
        shadow=_flag(above, said, "shadow_mode"),
        quota=_flag(above, said, "quota_mode"),
        detailed=_flag(above, said, "detailed_metric"),
        metadata=metadata,
    )


def _replaced(above: _Place, terms: Mapping[str, object], own: str) -> Iterable[str]:
    for number, each in enumerate(_list(above, terms, "replaces")):
        place = above.of("replaces", number)
        name = _text(place, _mapping(place, each), "name")
        if not name:
            raise place.refused("should not have an empty replaces entry")
        if name == own:
            raise place.refused("replaces should not contain name of same descriptor")
        yield name


def _metadata(above: _Place, said: Mapping[str, object]) -> Metadata:
    """Any JSON whose top is a map; RuleError for what no ``google.protobuf.Struct`` can hold."""
    if said.get(_FREE_OF_FORM) is None:
        return {}
    place = above.of(_FREE_OF_FORM)
    found = _mapping(place, said[_FREE_OF_FORM])
    metadata = {str(key): _value(place, each, DEEPEST_METADATA) for key, each in found.items()}
    if _size(metadata) > MOST_METADATA:
        raise place.refused(f"error parsing metadata: it is larger than {MOST_METADATA} signs")
    return metadata


def _value(place: _Place, said: object, levels: int) -> Value:
    if levels == 0:
        raise place.refused(f"error parsing metadata: deeper than {DEEPEST_METADATA} levels")
    match said:
        case None | bool() | int() | float() | str():
            return said
        case list():
            return [_value(place, each, levels - 1) for each in said]
        case Mapping():
            return {str(key): _value(place, each, levels - 1) for key, each in said.items()}
        case _:
            raise place.refused(f"error parsing metadata: invalid type: {type(said).__name__}")


def _size(value: Value) -> int:
    """About what it takes: one for each sign and each value."""
    match value:
        case str():
            return 1 + len(value)
        case Mapping():
            return 1 + sum(len(key) + _size(each) for key, each in value.items())
        case list():
            return 1 + sum(_size(each) for each in value)
        case _:
            return 1


def _requests(place: _Place, terms: Mapping[str, object]) -> int:
    found = terms.get("requests_per_unit")
    found = 0 if found is None else found
    whole = isinstance(found, int) and not isinstance(found, bool)
    if not whole or not isinstance(found, int) or not 0 <= found <= _MOST_REQUESTS:
        raise place.refused(f"error loading config file: requests_per_unit {found!r} is no uint32")
    return found


def _check_keys(place: _Place, said: Mapping[str, object]) -> None:
    for key, value in said.items():
        if not isinstance(key, str):
            raise place.refused(f"config error, key is not of type string: {key}")
        if key not in _KEYS:
            raise place.of(key).refused(f"config error, unknown key '{key}'")
        if key == _FREE_OF_FORM:
            continue
        if isinstance(value, list):
            _check_list(place, key, value)
        elif isinstance(value, Mapping):
            _check_keys(place.of(key), value)
        elif value is not None and not isinstance(value, str | int):
            raise place.of(key).refused("error checking config")


def _check_list(place: _Place, key: str, said: list[object]) -> None:
    for number, each in enumerate(said):
        if not isinstance(each, Mapping):
            raise place.of(key, number).refused(
                f"config error, yaml file contains list of type other than map: {each}"
            )
        _check_keys(place.of(key, number), each)


def _mapping(place: _Place, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise place.refused(f"error loading config file: {value!r} is no map")
    return value


def _text(place: _Place, said: Mapping[str, object], key: str) -> str:
    """Numbers and booleans are taken as they are written, as YAML's decoder there does."""
    value = said.get(key)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int):
        return "" if value is None else str(value)
    raise place.refused(f"error loading config file: {key} is no string")


def _flag(place: _Place, said: Mapping[str, object], key: str) -> bool:
    value = said.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise place.refused(f"error loading config file: {key} is no boolean")
    return value


def _list(place: _Place, said: Mapping[str, object], key: str) -> list[object]:
    value = said.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise place.refused(f"error loading config file: {key} is no list")
    return value
