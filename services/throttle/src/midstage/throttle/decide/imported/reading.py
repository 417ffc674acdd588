"""Files of rules become trees of descriptors, or are refused with that product's words.

A misspelt key is an error, not ignored: a limit that silently does not hold is the worst outcome.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from midstage.contracts.errors import RefusedError
from midstage.throttle.model.imported import Node, Rule, Unit

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
    }
)
_UNITS: Final = {unit.value: unit for unit in Unit}
_WILDCARD: Final = "*"
_MOST_REQUESTS: Final = 2**32 - 1

Document = tuple[str, object]
"""A file's name, and what stands in it, decoded."""


def domains_of(documents: Iterable[Document], *, merge: bool = False) -> Mapping[str, Node]:
    """The tree of each domain, which ``merge`` lets several files be of; RefusedError says why."""
    domains: dict[str, Node] = {}
    for file, content in documents:
        root = _mapping(file, content)
        _check_keys(file, root)
        domain = _text(file, root, "domain")
        if not domain:
            raise _refused(file, "config file cannot have empty domain")
        if domain in domains and not merge:
            raise _refused(file, f"duplicate domain '{domain}' in config file")
        node = domains.setdefault(domain, Node(rule=None, children={}, wildcards=[]))
        _load(file, node, f"{domain}.", _list(file, root, "descriptors"))
    return domains


def _load(file: str, parent: Node, path: str, descriptors: Iterable[object]) -> None:
    for each in descriptors:
        said = _mapping(file, each)
        key, value = _text(file, said, "key"), _text(file, said, "value")
        if not key:
            raise _refused(file, "descriptor has empty key")
        name = f"{key}_{value}" if value else key
        if name in parent.children:
            raise _refused(file, f"duplicate descriptor composite key '{path}{name}'")
        rule, shared = _rule(file, said, path + name), _flag(file, said, "share_threshold")
        if shared and _WILDCARD not in value:
            raise _refused(
                file,
                "share_threshold can only be used with wildcard values (ending with '*'), "
                f"but found key '{name}'",
            )
        node = Node(
            rule=rule,
            children={},
            wildcards=[],
            value_to_metric=_flag(file, said, "value_to_metric"),
            shared=value if shared else "",
        )
        _load(file, node, f"{path}{name}.", _list(file, said, "descriptors"))
        parent.children[name] = node
        if _WILDCARD in name:
            parent.wildcards.append(name)


def _rule(file: str, said: Mapping[str, object], metric: str) -> Rule | None:
    if said.get("rate_limit") is None:
        return None
    terms = _mapping(file, said["rate_limit"])
    text, unlimited = _text(file, terms, "unit"), _flag(file, terms, "unlimited")
    unit = _UNITS.get(text.lower())
    if unlimited and unit is not None:
        raise _refused(file, "should not specify rate limit unit when unlimited")
    if not unlimited and unit is None:
        raise _refused(file, f"invalid rate limit unit '{text}'")
    name = _text(file, terms, "name")
    return Rule(
        metric=metric,
        requests=_requests(file, terms),
        unit=unit,
        name=name,
        replaces=tuple(_replaced(file, terms, name)),
        shadow=_flag(file, said, "shadow_mode"),
        quota=_flag(file, said, "quota_mode"),
        detailed=_flag(file, said, "detailed_metric"),
    )


def _replaced(file: str, terms: Mapping[str, object], own: str) -> Iterable[str]:
    for each in _list(file, terms, "replaces"):
        name = _text(file, _mapping(file, each), "name")
        if not name:
            raise _refused(file, "should not have an empty replaces entry")
        if name == own:
            raise _refused(file, "replaces should not contain name of same descriptor")
        yield name


def _requests(file: str, terms: Mapping[str, object]) -> int:
    found = terms.get("requests_per_unit", 0)
    whole = isinstance(found, int) and not isinstance(found, bool)
    if not whole or not isinstance(found, int) or not 0 <= found <= _MOST_REQUESTS:
        raise _refused(file, f"error loading config file: requests_per_unit {found!r} is no uint32")
    return found


def _check_keys(file: str, said: object) -> None:
    for key, value in said.items() if isinstance(said, Mapping) else ():
        if not isinstance(key, str):
            raise _refused(file, f"config error, key is not of type string: {key}")
        if key not in _KEYS:
            raise _refused(file, f"config error, unknown key '{key}'")
        if isinstance(value, list):
            _check_list(file, value)
        elif isinstance(value, Mapping):
            _check_keys(file, value)
        elif value is not None and not isinstance(value, str | int):
            raise _refused(file, "error checking config")


def _check_list(file: str, said: list[object]) -> None:
    for each in said:
        if not isinstance(each, Mapping):
            raise _refused(
                file, f"config error, yaml file contains list of type other than map: {each}"
            )
        _check_keys(file, each)


def _mapping(file: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _refused(file, f"error loading config file: {value!r} is no map")
    return value


def _text(file: str, said: Mapping[str, object], key: str) -> str:
    """Numbers and booleans are taken as they are written, as YAML's decoder there does."""
    value = said.get(key)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int):
        return "" if value is None else str(value)
    raise _refused(file, f"error loading config file: {key} is no string")


def _flag(file: str, said: Mapping[str, object], key: str) -> bool:
    value = said.get(key, False)
    if not isinstance(value, bool):
        raise _refused(file, f"error loading config file: {key} is no boolean")
    return value


def _list(file: str, said: Mapping[str, object], key: str) -> list[object]:
    value = said.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _refused(file, f"error loading config file: {key} is no list")
    return value


def _refused(file: str, why: str) -> RefusedError:
    return RefusedError(f"{file}: {why}", status=422)
