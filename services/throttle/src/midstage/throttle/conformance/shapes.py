"""What cases have in common: their file, their heading, and how expectations are met."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape

Number = int | float
NS_PER_S: Final = 1_000_000_000
_FOR_PEOPLE: Final = frozenset({"note", "why", "comment"})


class File(Shape, frozen=True, kw_only=True):
    """A file of cases; ``configs`` are rules that cases refer to by name."""

    configs: Mapping[str, msgspec.Raw] = {}
    cases: Sequence[msgspec.Raw]


class Heading(Shape, frozen=True, kw_only=True):
    """What every case has."""

    id: str
    group: str
    title: str = ""


class CaseError(Exception):
    """A case that can't be put to the engine; its text says why."""


def ns(seconds: Number) -> int:
    """Exactly as the number is written."""
    return int(Fraction(str(seconds)) * NS_PER_S)


def ms_ns(milliseconds: Number) -> int:
    """Milliseconds as nanoseconds."""
    return int(Fraction(str(milliseconds)) * 1_000_000)


def compared(
    expected: Mapping[str, object], found: Mapping[str, object], where: str = ""
) -> Iterator[Differing]:
    """A difference for each expectation that does not come out, or that nothing is known of.

    ``max_…`` is met by less, ``min_…`` by more.
    """
    for name, wanted in expected.items():
        if name in _FOR_PEOPLE:
            continue
        if name not in found:
            raise CaseError(f"{where}{name} is an expectation that this judge does not know")
        if not _met(name, wanted, found[name]):
            yield Differing(field=f"{where}{name}", expected=wanted, found=found[name])


def _met(name: str, wanted: object, found: object) -> bool:
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        if name.startswith("max_"):
            return found <= wanted
        if name.startswith("min_"):
            return found >= wanted
    return found == wanted
