"""A manifest without the fields that somebody else has set, by the paths of a conflict. Pure.

Paths are as the server writes them: ``spec.template.spec.containers[name="app"].image``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from midstage.cluster.kubernetes.manifests import Fields
from midstage.cluster.preview import Json

_STEP = re.compile(r"\[([^\]]*)\]")
_KEY = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,]+)')


def left_to_others(manifest: Fields, paths: Iterable[str]) -> Fields:
    """``manifest`` without what is at ``paths``; what can't be found stays."""
    for path in paths:
        # annotation and label names have dots: what is read literally first is found
        manifest = _mapping(_without(manifest, path.lstrip(".")))
    return manifest


def _without(value: Json, path: str) -> Json:
    if isinstance(value, Mapping):
        return _without_field(value, path)
    if isinstance(value, list | tuple) and path.startswith("["):
        return _without_element(value, path)
    return value


def _without_field(value: Mapping[str, Json], path: str) -> Json:
    if path in value:
        return {name: each for name, each in value.items() if name != path}
    found = next((name for name in value if path.startswith((f"{name}.", f"{name}["))), None)
    if found is None:
        return value
    return {**value, found: _without(value[found], path[len(found) :].lstrip("."))}


def _without_element(value: Sequence[Json], path: str) -> Json:
    step = _STEP.match(path)
    if step is None:
        return value
    rest, keys = path[step.end() :].lstrip("."), dict(_KEY.findall(step[1]))
    kept: list[Json] = []
    for each in value:
        if not _is(each, keys):
            kept.append(each)
        elif rest:
            kept.append(_without(each, rest))
    return kept


def _is(element: Json, keys: Mapping[str, str]) -> bool:
    return (
        bool(keys)
        and isinstance(element, Mapping)
        and all(str(element.get(name)) == text.strip('"') for name, text in keys.items())
    )


def _mapping(value: Json) -> Fields:
    assert isinstance(value, Mapping)
    return value
