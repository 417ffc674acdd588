"""``midstage explain``: what a spec may say, field by field, from the very types that judge it."""

from msgspec import inspect

from midstage.contracts.apps import AppSpec
from midstage.contracts.errors import RefusedError


def explained(path: str) -> str:
    """The fields at ``path`` (dots between; empty: all) with type, bounds and default.

    RefusedError where there is no such field.
    """
    kind: inspect.Type = inspect.type_info(AppSpec)
    walked: list[str] = []
    for step in [each for each in path.split(".") if each]:
        struct = _struct(kind)
        fields = {field.encode_name: field.type for field in struct.fields} if struct else {}
        if step not in fields:
            where = ".".join(walked) or "a spec"
            known = ", ".join(sorted(fields)) or "none"
            raise RefusedError(f"{where} has no field {step!r}; known are {known}")
        walked.append(step)
        kind = fields[step]
    struct = _struct(kind)
    if struct is None:
        return f"{path}: {_told(kind)}"
    about = (struct.cls.__doc__ or "").replace("\n    ", "\n").strip()
    lines = [f"  {f.encode_name}: {_told(f.type)}{_default(f)}" for f in struct.fields]
    return "\n".join([*([about, ""] if about else []), *lines])


def _struct(kind: inspect.Type) -> inspect.StructType | None:
    match kind:
        case inspect.StructType():
            return kind
        case inspect.VarTupleType(item_type=item):
            return _struct(item)
        case inspect.UnionType(types=types):
            return next((found for each in types if (found := _struct(each))), None)
        case _:
            return None


def _told(kind: inspect.Type) -> str:
    match kind:
        case inspect.VarTupleType(item_type=item):
            return f"list of {_told(item)}"
        case inspect.DictType(value_type=value):
            return f"mapping of names to {_told(value)}"
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
        case inspect.StrType(pattern=pattern):
            return f"text like {pattern}" if pattern else "text"
        case _:
            return "yes or no"


def _bounds(least: float | None, above: float | None, most: float | None) -> str:
    told = [
        f"{word} {bound:.15g}"
        for word, bound in (("at least", least), ("above", above), ("at most", most))
        if bound is not None
    ]
    return f", {', '.join(told)}" if told else ""


def _default(field: inspect.Field) -> str:
    match field.default:
        case _ if field.required:
            return " (has to be there)"
        case bool() | int() | float() | str() if field.default != "":
            return f" (default {field.default})"
        case _:
            return ""
