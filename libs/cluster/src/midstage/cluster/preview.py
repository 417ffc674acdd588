"""What a write would change, from comparing what is there with what is wanted. Pure.

Values are plain JSON. Elements of a list are told apart by what names them (``name``, a path), so
one that was put in between changes no other.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from midstage.cluster.objects import FieldChange, Workload

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

_TOLD_BY_THE_CLUSTER = ("uid", "resource_version", "ready", "drift", "reason")
_VERSIONS = ("spec_version", "scale_version")
_NAMED_BY = ("name", "mountPath", "path", "containerPort", "key")


def of_workload(known: Workload | None, wanted: Workload) -> tuple[FieldChange, ...]:
    """The fields that differ; from nothing, all that the wanted one says."""
    return compared(_said(known) if known else {}, _said(wanted))


def compared(before: Json, after: Json, *, at: str = "") -> tuple[FieldChange, ...]:
    """The leaves that differ, by path from ``at`` on; null and empty are not there."""
    return tuple(_compared(at, before, after))


def _said(workload: Workload) -> dict[str, Json]:
    plain: dict[str, Json] = msgspec.to_builtins(workload)
    unsaid: dict[str, Json] = msgspec.to_builtins(
        msgspec.structs.replace(workload, template=type(workload.template)())
    )["template"]
    template = plain["template"]
    assert isinstance(template, Mapping)
    own = {name: value for name, value in template.items() if value != unsaid[name]}
    left_out = (*_TOLD_BY_THE_CLUSTER, *_VERSIONS)
    return {name: value for name, value in plain.items() if name not in left_out} | {
        "template": own
    }


def _compared(path: str, before: Json, after: Json) -> Iterator[FieldChange]:
    if before == after or (_is_nothing(before) and _is_nothing(after)):
        return
    if _is_map(before) and _is_map(after):
        yield from _of_fields(path, _fields(before), _fields(after))
    else:
        yield FieldChange(path=path, before=_text(before), after=_text(after))


def _of_fields(
    path: str, before: Mapping[str, Json], after: Mapping[str, Json]
) -> Iterator[FieldChange]:
    for name in sorted({*before, *after}):
        inner = name if not path or name.startswith("[") else f".{name}"
        yield from _compared(f"{path}{inner}", before.get(name), after.get(name))


def _is_map(value: Json) -> bool:
    """Whether it can be looked into, or is not there."""
    return value is None or isinstance(value, Mapping) or _names(value) is not None


def _fields(value: Json) -> Mapping[str, Json]:
    if isinstance(value, Mapping):
        return value
    return _names(value) or {}


def _names(value: Json) -> Mapping[str, Json] | None:
    """The elements of a list by what names them; None where nothing does."""
    if not isinstance(value, list | tuple) or not value:
        return None
    for key in _NAMED_BY:
        found = {
            f"[{each[key]}]": each for each in value if isinstance(each, Mapping) and key in each
        }
        if len(found) == len(value):
            return found
    return None


def _is_nothing(value: Json) -> bool:
    return value is None or (isinstance(value, Mapping | list | tuple) and not value)


def _text(value: Json) -> str:
    return "" if _is_nothing(value) else msgspec.json.encode(value).decode()
