"""Units are numbers with at most six decimals, added as whole micro-units, never as floats.

So a sum does not depend on the order of its parts, and a bill can be made again to the digit.
"""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import NewType

from midstage.contracts.errors import UnreadableError

Micros = NewType("Micros", int)
"""Millionths of a unit."""

MICROS_PER_UNIT = 1_000_000
LARGEST = 10**12
"""A single event's figure above this many units is taken for a broken producer."""

REQUESTS = "requests"
INPUT_TOKENS = "input_tokens"
OUTPUT_TOKENS = "output_tokens"
CACHED_INPUT_TOKENS = "cached_input_tokens"

BLUR = 4.5e-16  # two roundings
"""How far a float may lie from six decimals: 0.1 + 0.2 is meant as 0.3."""

EXACT_MICROS = 2**33 * MICROS_PER_UNIT
"""From so many micro-units on a float tells some decimals apart no more: 999999999999.1."""

NO_UNITS: Mapping[str, Micros] = MappingProxyType({})


def micros(value: float) -> Micros:
    """``value`` units as micro-units; UnreadableError if negative, too large or finer than 1e-6."""
    if not 0 <= value <= LARGEST:  # also refuses NaN: every comparison with it is false
        raise UnreadableError(f"{value!r} units are not between 0 and {LARGEST}")
    if isinstance(value, int):
        return Micros(value * MICROS_PER_UNIT)
    whole = math.floor(value)  # apart, because the product of a large float is not exact
    amount = whole * MICROS_PER_UNIT + round((value - whole) * MICROS_PER_UNIT)
    if amount >= EXACT_MICROS and whole != value:
        written = Decimal(repr(value)) * MICROS_PER_UNIT  # the shortest text that reads so
        if written == written.to_integral_value():
            return Micros(int(written))
    if not math.isclose(amount / MICROS_PER_UNIT, value, rel_tol=BLUR):
        raise UnreadableError(f"{value!r} units have more than six decimals")
    return Micros(amount)


def units(amount: int) -> int | float:
    """Micro-units as the number to write: whole where it is whole."""
    whole, rest = divmod(amount, MICROS_PER_UNIT)
    return whole if rest == 0 else amount / MICROS_PER_UNIT


def total(parts: Iterable[Mapping[str, int]]) -> dict[str, Micros]:
    """The sum of micro-units by name."""
    sums: dict[str, Micros] = {}
    for part in parts:
        for name, amount in part.items():
            sums[name] = Micros(sums.get(name, 0) + amount)
    return sums
