"""What the options of ``midstage set limit`` say, as throttle's API takes it."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, get_args

import msgspec

from midstage.contracts.algorithms import AnyAlgorithm
from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import FailureRule

_TIME = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Kind(StrEnum):
    """How a limit counts."""

    TOKEN_BUCKET = "token_bucket"
    LEAKY_BUCKET = "leaky_bucket"
    GCRA = "gcra"
    FIXED_WINDOW = "fixed_window"
    MOVING_WINDOW = "moving_window"
    SLIDING_COUNTER = "sliding_counter"
    CALENDAR = "calendar"
    LIFETIME = "lifetime"
    SLOTS = "slots"


_OPTIONS: Final = {"period_s": "--per", "ttl_s": "--ttl"}
_FIELDS: Final = {
    str(each.__struct_config__.tag): msgspec.structs.fields(each) for each in get_args(AnyAlgorithm)
}


def algorithm(
    kind: Kind, given: Mapping[str, int | str | None], *, per: str | None, ttl: str | None
) -> Mapping[str, object]:
    """The algorithm with what was given; RefusedError where its contract asks for other options.

    Bounds, and what one option means for another, are throttle's to say.
    """
    times = {
        "period_s": None if per is None else seconds("--per", per),
        "ttl_s": None if ttl is None else seconds("--ttl", ttl),
    }
    parts = {name: value for name, value in {**times, **given}.items() if value is not None}
    known = {_option(field.name): field.required for field in _FIELDS[kind.value]}
    asked = [_option(name) for name in parts]
    for option, required in known.items():
        if required and option not in asked:
            raise RefusedError(f"--algorithm {kind.value} needs {option}")
    for option in asked:
        if option not in known:
            its = f"only {', '.join(known)}" if known else "no option of its own"
            raise RefusedError(f"--algorithm {kind.value} has no {option}, {its}")
    return {"kind": kind.value, **parts}


def on_failure(said: str) -> object:
    """``open`` or ``closed`` as they are; ``10/1m`` as so many in such a time."""
    amount, slash, per = said.partition("/")
    if not slash and said in set(FailureRule):
        return said
    if not (slash and amount.isascii() and amount.isdigit()):
        raise RefusedError(f"--on-failure {said!r} is none of open, closed and, say, 10/1m")
    return {"amount": int(amount), "period_s": seconds("--on-failure", per)}


def labels(option: str, said: Sequence[str]) -> Mapping[str, str]:
    """Labels like ``model=large``, each name once."""
    found: dict[str, str] = {}
    for each in said:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise RefusedError(f"{option} {each!r} is none like name=value")
        if name in found:
            raise RefusedError(f"{option}: {name} is said twice, and can only have one value")
        found[name] = value
    return found


def units(option: str, said: Sequence[str]) -> Mapping[str, int]:
    """Amounts by unit like ``tokens=500``, each unit once."""
    found = labels(option, said)
    for unit, amount in found.items():
        if not (amount.isascii() and amount.isdigit()):
            raise RefusedError(f"{option} {unit}={amount!r} is no whole number")
    return {unit: int(amount) for unit, amount in found.items()}


def seconds(option: str, said: str) -> float:
    """A time like ``90``, ``30s``, ``5m``, ``1h`` or ``7d``."""
    found = _TIME.fullmatch(said)
    if not found:
        raise RefusedError(f"{option} {said!r} is no time like 30s, 5m, 1h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def _option(field: str) -> str:
    return _OPTIONS.get(field, f"--{field}")
