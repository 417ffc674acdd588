"""Which rule holds for a descriptor, which counter it has, and under which name it is measured.

Entry by entry, a level each: the exact value, then the first wildcard of the file that fits, then
the key alone. A rule holds only for a descriptor that is as deep as it. ``share_threshold`` puts
every value under the wildcard on one counter.
"""

from collections.abc import Mapping

from midstage.throttle.model.imported import Descriptor, Entry, Match, Node, Override, Rule


def matched(domains: Mapping[str, Node], domain: str, descriptor: Descriptor) -> Match | None:
    """The rule of the descriptor; None where no limit holds, as in a domain that is not known.

    A limit that the request carries goes before all rules, and is in no mode.
    """
    root = domains.get(domain)
    if root is None:
        return None
    if descriptor.override is not None:
        return _carried(domain, descriptor.entries, descriptor.override)
    path = _path(root, descriptor.entries)
    if len(path) < len(descriptor.entries) or not path:
        return None
    rule = path[-1][0].rule
    if rule is None:
        return None
    values = [
        _of_pattern(wildcard, key) if node.shared and wildcard else value
        for (node, wildcard, _), (key, value) in zip(path, descriptor.entries, strict=True)
    ]
    counted = [
        part
        for (key, _), value in zip(descriptor.entries, values, strict=True)
        for part in (key, value)
    ]
    metric = (
        _detailed(domain, descriptor.entries, path, values)
        if rule.detailed
        else ".".join([domain, *_named(path, descriptor.entries, values)])
    )
    return Match(rule=rule, key=(domain, _unit(rule), *counted), metric=metric)


def fits(pattern: str, text: str) -> bool:
    """Whether ``*`` in ``pattern`` can stand for whatever is there in ``text``, also nothing."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == text
    last = middle.pop()
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end


Step = tuple[Node, str, bool]
"""A node, the wildcard by which it was found ('' for none), and whether its value was named."""


def _path(root: Node, entries: tuple[Entry, ...]) -> list[Step]:
    """The nodes of the entries, as far as there are any."""
    path: list[Step] = []
    node = root
    for key, value in entries:
        step = _child(node, key, f"{key}_{value}")
        if step is None:
            break
        path.append(step)
        node = step[0]
    return path


def _child(parent: Node, key: str, name: str) -> Step | None:
    exact = parent.children.get(name)
    if exact is not None:
        return exact, "", True
    for wildcard in parent.wildcards:
        if fits(wildcard, name):
            return parent.children[wildcard], wildcard, True
    default = parent.children.get(key)
    return None if default is None else (default, "", False)


def _named(path: list[Step], entries: tuple[Entry, ...], values: list[str]) -> list[str]:
    """The name of each level in the statistics: as in the file, unless its value is asked for."""
    named = []
    for (node, wildcard, exact), (key, _), counted in zip(path, entries, values, strict=True):
        if wildcard and not node.shared and not node.value_to_metric:
            told = _of_pattern(wildcard, key)
        else:
            told = counted if wildcard or exact or node.value_to_metric else ""
        named.append(f"{key}_{told}" if told else key)
    return named


def _of_pattern(wildcard: str, key: str) -> str:
    """What stands for the value in a pattern of key and value."""
    return wildcard.removeprefix(f"{key}_")


def _detailed(domain: str, entries: tuple[Entry, ...], path: list[Step], values: list[str]) -> str:
    """All keys and values; an empty one beside a shared one has no ``_``, as there."""
    shared = any(node.shared and wildcard for node, wildcard, _ in path)
    named = [
        key if shared and not value else f"{key}_{value}"
        for (key, _), value in zip(entries, values, strict=True)
    ]
    return ".".join([domain, *named])


def _carried(domain: str, entries: tuple[Entry, ...], override: Override) -> Match:
    metric = ".".join([domain, *(f"{key}_{value}" if value else key for key, value in entries)])
    rule = Rule(metric=metric, requests=override.requests, unit=override.unit)
    parts = [part for entry in entries for part in entry]
    return Match(rule=rule, key=(domain, _unit(rule), *parts), metric=metric)


def _unit(rule: Rule) -> str:
    """One object for each unit: a million counters share it."""
    return "" if rule.unit is None else rule.unit.value
