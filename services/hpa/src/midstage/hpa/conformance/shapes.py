"""What files of cases have in common: their header, their list of cases, and a difference."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is read from a file; what is not known is for people."""


class File(Shape, frozen=True, kw_only=True):
    """A file of cases; its ``meta`` tells what they are of."""

    meta: msgspec.Raw
    cases: Sequence[msgspec.Raw]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A field that is not as the case expects it."""

    field: str
    expected: object
    found: object

    def __str__(self) -> str:
        """As a line says it."""
        return f"{self.field} {self.expected!r} expected, {self.found!r} found"
