"""Where two documents differ first, as a person would say it."""

from typing import Final

_NOTHING: Final = "nothing"


def difference(stored: object, made: object, path: str = "") -> str:
    """The path of the first field that differs, and both values; empty where none does."""
    match stored, made:
        case dict() as one, dict() as other:
            pairs = [
                (f"{path}.{name}", one.get(name, _NOTHING), other.get(name, _NOTHING))
                for name in [*one, *(name for name in other if name not in one)]
            ]
        case list() as one, list() as other if len(one) == len(other):
            both = zip(one, other, strict=True)
            pairs = [(f"{path}[{number}]", *pair) for number, pair in enumerate(both)]
        case _:
            return "" if stored == made else f"{path.lstrip('.')} was {stored!r}, is {made!r}"
    found = (difference(before, after, at) for at, before, after in pairs)
    return next((each for each in found if each), "")
