"""``midstage explain``: what a spec may say, field by field, from the very types that judge it."""

import msgspec
from msgspec import inspect

from midstage.contracts import described
from midstage.contracts.application import API_VERSION, KIND
from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError

_TOP = "spec"


def explained(path: str) -> str:
    """What is at ``path`` (dots between; empty: all): type, bounds, default, and what it means.

    The path is that of refusals: ``scaling.min``, or ``spec.scaling.min``; a number in brackets
    means each. RefusedError where there is no such field.
    """
    struct: inspect.StructType | None = _struct(inspect.type_info(AppSpec))
    field: inspect.Field | None = None
    walked: list[str] = []
    meaning = ""
    steps = [step.partition("[")[0] for step in path.split(".") if step]
    for step in steps[1:] if steps[:1] == [_TOP] else steps:
        known = {each.encode_name: each for each in struct.fields} if struct else {}
        if step not in known or struct is None:
            where = ".".join(walked) or "a spec"
            names = ", ".join(sorted(known)) or "none"
            raise RefusedError(f"{where} has no field {step!r}; known are {names}")
        walked.append(step)
        field = known[step]
        meaning = described.fields(struct.cls).get(step, "")
        struct = _struct(field.type)
    told = [] if field is None else [f"{'.'.join(walked)}: {_told(field.type)}{_default(field)}"]
    told += [meaning] if meaning else []
    return "\n".join(told if struct is None else [*told, *_fields(struct, is_top=field is None)])


def _fields(struct: inspect.StructType, *, is_top: bool) -> list[str]:
    """The fields of a part, each with what it means."""
    meanings = described.fields(struct.cls)
    lines = [described.about(struct.cls), ""]
    if is_top:
        lines = [f"apiVersion: {API_VERSION}", f"kind: {KIND}", "metadata: {name: …}", *lines[:1]]
        lines += ["", "spec:"]
    for each in struct.fields:
        lines.append(f"  {each.encode_name}: {_told(each.type)}{_default(each)}")
        if meaning := meanings.get(each.encode_name):
            lines.append(f"      {meaning}")
    return lines


def _struct(kind: inspect.Type) -> inspect.StructType | None:
    match kind:
        case inspect.StructType():
            return kind
        case inspect.VarTupleType(item_type=item) | inspect.DictType(value_type=item):
            return _struct(item)
        case inspect.UnionType(types=types):
            return next((found for each in types if (found := _struct(each))), None)
        case _:
            return None


def _told(kind: inspect.Type) -> str:
    match kind:
        case inspect.VarTupleType(item_type=item, max_length=most):
            return f"list{_at_most(most)} of {_told(item)}"
        case inspect.DictType(value_type=value, max_length=most):
            return f"mapping{_at_most(most)} of names to {_told(value)}"
        case inspect.UnionType(types=types):
            rest = [each for each in types if not isinstance(each, inspect.NoneType)]
            return " or ".join(_told(each) for each in rest)
        case inspect.EnumType(cls=cls):
            return " or ".join(str(each.value) for each in cls)
        case _:
            return _plain(kind)


def _plain(kind: inspect.Type) -> str:
    match kind:
        case inspect.StructType():
            return "fields"
        case inspect.IntType(ge=ge, le=le):
            return f"whole number{_bounds(ge, None, le)}"
        case inspect.FloatType(ge=ge, gt=gt, le=le):
            return f"number{_bounds(ge, gt, le)}"
        case inspect.StrType(pattern=pattern, max_length=most):
            like = f" like {pattern}" if pattern else ""
            return f"text{like}{f', {most} characters at most' if most else ''}"
        case _:
            return "yes or no"


def _bounds(least: float | None, above: float | None, most: float | None) -> str:
    told = [
        f"{word} {bound:.15g}"
        for word, bound in (("at least", least), ("above", above), ("at most", most))
        if bound is not None
    ]
    return f", {', '.join(told)}" if told else ""


def _at_most(most: int | None) -> str:
    return f", {most} at most," if most else ""


def _default(field: inspect.Field) -> str:
    """What holds where it is left out, as YAML says it."""
    if field.required:
        return " (has to be there)"
    if field.default is msgspec.NODEFAULT or field.default is None or field.default == "":
        return ""
    match field.default:
        case tuple() | dict() | msgspec.Struct():
            return ""
        case default:
            return f" (default {msgspec.json.encode(default).decode().strip(chr(34))})"
