"""What was found out about a mutant: which side failed, kept in a file, and in sums.

The file has a line for each; those of another source of the module are not looked at.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.hpa.mutants import Mutant

DECIDE: Final = "midstage.hpa.decide"
EQUIVALENT: Final = frozenset(
    line
    for line in Path(__file__).with_name("alike.txt").read_text().splitlines()
    if line and not line.startswith("#")
)
"""Mutants that decide alike, by name."""
CASES, TESTS = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Which sides failed of a mutant: a sum of ``CASES`` and ``TESTS``, and ``by`` which test."""

    mutant: Mutant
    failed: int
    by: str = ""

    @property
    def name(self) -> str:
        """As in ``EQUIVALENT``."""
        of = self.mutant
        return f"{_short(of.module)}{'.' if of.function else ''}{of.function}: {of.what}"

    def __str__(self) -> str:
        """One line of the report."""
        words = {0: "nothing fails", CASES: "only the cases fail", TESTS: "only the tests fail"}
        return f"{self.mutant.line}: {self.name}: {words.get(self.failed, 'both fail')}"


class Kept:
    """What is known of mutants, in a file; those of another source are forgotten."""

    def __init__(self, path: Path | None) -> None:
        """Nothing is kept where there is no ``path``."""
        self._path = path

    def of(self, chosen: Iterable[Mutant]) -> Iterator[Outcome]:
        """Those that the tests failed of; what they let pass is judged again."""
        if self._path is None or not self._path.exists():
            return
        known = {
            mark: (failed, by)
            for mark, failed, by in map(json.loads, self._path.read_text().splitlines())
            if failed & TESTS
        }
        for mutant in chosen:
            if (said := known.get(_mark(mutant))) is not None:
                yield Outcome(mutant=mutant, failed=said[0], by=said[1])

    def add(self, outcome: Outcome) -> None:
        """Keep it."""
        if self._path is not None:
            with self._path.open("a") as file:
                said = (_mark(outcome.mutant), outcome.failed, outcome.by)
                file.write(f"{json.dumps(said)}\n")


def sums(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A line for each module, and for all."""
    for module in dict.fromkeys(each.mutant.module for each in outcomes):
        counts = Counter(each.failed for each in outcomes if each.mutant.module == module)
        yield f"{_short(module)}: {sides(counts)}"
    yield f"all: {sides(Counter(each.failed for each in outcomes))}"
    alike = sum(each.name in EQUIVALENT and not each.failed for each in outcomes)
    yield f"of those that nothing fails of, {alike} decide alike"


def sides(counts: Mapping[int, int]) -> str:
    """How many failed of which side, by ``Outcome.failed``."""
    return (
        f"{sum(counts.values())} mutants; both fail of {counts.get(CASES + TESTS, 0)}, the tests"
        f" alone of {counts.get(TESTS, 0)}, the cases alone of {counts.get(CASES, 0)},"
        f" nothing of {counts.get(0, 0)}"
    )


@cache
def source_of(module: str) -> str:
    """The text of a module that was imported."""
    path = sys.modules[module].__file__
    assert path is not None
    return Path(path).read_text()


def _short(module: str) -> str:
    return module.removeprefix(f"{DECIDE}.")


def _mark(mutant: Mutant) -> str:
    said = hashlib.sha256(source_of(mutant.module).encode()).hexdigest()[:16]
    return f"{_short(mutant.module)}:{mutant.line}:{said}: {mutant.what}"
