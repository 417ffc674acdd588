"""Who owns which field of an object, as Kubernetes keeps it in ``managedFields``. Pure.

A path is a tuple of segments as they stand there: ``f:name``, ``k:{"name":"app"}``, ``v:"x"``, and
``.`` for the thing itself. What strangers own and we don't is what nobody of us has said: applying
again leaves it there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from midstage.cluster.kubernetes import names
from midstage.cluster.kubernetes.shapes import Managed
from midstage.cluster.preview import Json

Path = tuple[str, ...]

_OURS = (names.DEPLOY_MANAGER, names.SCALE_MANAGER)
_CLUSTERS_OWN = ("kube-controller-manager",)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def owned(managed: Iterable[Managed], manager: str) -> frozenset[Path]:
    """All that ``manager`` has applied."""
    return frozenset(
        path
        for entry in managed
        if entry.manager == manager and entry.operation == "Apply"
        for path in paths(entry.fields_v1)
    )


def strangers(managed: Sequence[Managed]) -> Mapping[Path, str]:
    """Fields under spec that are a stranger's and not ours, with the stranger's name."""
    ours = {path for manager in _OURS for path in owned(managed, manager)}
    return {
        path: entry.manager or "unknown"
        for entry in managed
        if entry.manager not in (*_OURS, *_CLUSTERS_OWN) and entry.subresource != "status"
        for path in paths(entry.fields_v1)
        if path[0] == "f:spec" and path not in ours
    }


def paths(fields: bytes) -> Iterator[Path]:
    """Every path of an entry's ``fieldsV1``."""
    for name, inner in _FIELDS.decode(fields).items():
        if name == ".":
            yield (".",)
        elif not _FIELDS.decode(inner):
            yield (name,)
        else:
            for rest in paths(inner):
                yield (name, *rest)


def readable(path: Path) -> str:
    """As people write it: ``spec.template.spec.containers[name=app].image``."""
    return "".join(_step(segment) for segment in path).removeprefix(".")


def _step(segment: str) -> str:
    kind, _, text = segment.partition(":")
    if kind == "f":
        return f".{text}"
    if kind == "k":
        keys: dict[str, Json] = msgspec.json.decode(text)
        return "[" + ",".join(f"{name}={value}" for name, value in keys.items()) + "]"
    return f"[{text}]" if text else ""


def without(value: Json, gone: Iterable[Path]) -> Json:
    """``value`` without what is at the paths; what is not there need not go."""
    for path in sorted(gone, key=len):
        value = _without(value, path)
    return value


def _without(value: Json, path: Path) -> Json:
    head, *rest = path
    if rest == ["."]:
        if head.startswith("f:"):
            return value  # what else is in it may be ours
        rest = []
    if isinstance(value, Mapping):
        return _without_field(value, head.removeprefix("f:"), tuple(rest))
    if isinstance(value, list | tuple):
        return _without_element(value, head, tuple(rest))
    return value


def _without_field(value: Mapping[str, Json], name: str, rest: Path) -> Json:
    if name not in value:
        return value
    if rest:
        return {**value, name: _without(value[name], rest)}
    return {key: each for key, each in value.items() if key != name}


def _without_element(value: Sequence[Json], segment: str, rest: Path) -> Json:
    kept: list[Json] = []
    for each in value:
        if not _is(each, segment):
            kept.append(each)
        elif rest:
            kept.append(_without(each, rest))
    return kept


def _is(element: Json, segment: str) -> bool:
    kind, _, text = segment.partition(":")
    if kind == "v":
        return bool(msgspec.json.decode(text) == element)
    keys: dict[str, Json] = msgspec.json.decode(text) if kind == "k" else {}
    return bool(keys) and isinstance(element, Mapping) and keys.items() <= element.items()
