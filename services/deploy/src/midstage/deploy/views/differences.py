"""What would change: two specs side by side, and how the change would go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from midstage.contracts.apps import AppSpec

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field: ``before`` and ``after`` are plain JSON values, None where it is not there."""

    path: str
    before: Value
    after: Value


def differences(before: AppSpec | None, after: AppSpec) -> tuple[Difference, ...]:
    """All fields that differ, by path; from nothing, all that the new spec says."""
    old = {} if before is None else plain(before)
    return tuple(_compared("", old, plain(after)))


def plain(spec: AppSpec) -> dict[str, Value]:
    """The spec as JSON values, without what is as by default."""
    found: dict[str, Value] = msgspec.to_builtins(spec)
    return found


def _compared(path: str, old: Value, new: Value) -> Iterator[Difference]:
    if old == new:
        return
    if isinstance(old, dict | None) and isinstance(new, dict | None):
        yield from _of_fields(path, old or {}, new or {})
    else:
        yield Difference(path=path, before=old, after=new)


def _of_fields(
    path: str, old: Mapping[str, Value], new: Mapping[str, Value]
) -> Iterator[Difference]:
    for name in sorted({*old, *new}):
        inner = f"{path}.{name}" if path else name
        yield from _compared(inner, old.get(name), new.get(name))
