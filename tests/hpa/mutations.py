"""``python -m tests.hpa.mutations``: is every line of the engine held by the tests?

Each mutant of the engine's modules is put to the conformance cases and to hpa's own tests, in a
forked process each, until the first failure. A line for each that a side let pass, then the sums;
1 where the tests let one pass that is not named in ``EQUIVALENT``.
"""

import argparse
import contextlib
import importlib
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.hpa.mutants import Mutant, installed, mutants

_DECIDE: Final = "midstage.hpa.decide"
MODULES: Final = (
    f"{_DECIDE}.stages",
    f"{_DECIDE}.hpav2.behavior",
    f"{_DECIDE}.hpav2.pods",
    f"{_DECIDE}.hpav2.proposing",
    f"{_DECIDE}.kpa",
)
EQUIVALENT: Final = frozenset(
    {
        "stages: before < figure -> before <= figure",  # they are not equal there
    }
)
"""Mutants that decide alike, as ``module: changed`` (the line may move), each with its reason."""
_HERE: Final = Path(__file__).parent
_LIVE: Final = frozenset({"test_process.py", "test_kafka.py"})
"""Whole processes: too slow, and nothing of the engine is asked there alone."""
_LONGEST_S: Final = 200
"""Of CPU time: whoever needs more runs in circles."""
CASES, TESTS = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Which sides failed of a mutant: a sum of ``CASES`` and ``TESTS``."""

    mutant: Mutant
    failed: int

    @property
    def name(self) -> str:
        """As in ``EQUIVALENT``."""
        return f"{self.mutant.module.removeprefix(_DECIDE + '.')}: {self.mutant.what}"

    def __str__(self) -> str:
        """One line of the report."""
        sides = {0: "nothing fails", CASES: "only the cases fail", TESTS: "only the tests fail"}
        where = f"{self.mutant.module.removeprefix(_DECIDE + '.')}:{self.mutant.line}"
        return f"{where}: {self.mutant.what}: {sides.get(self.failed, 'both fail')}"


class Trial:
    """A pytest plugin: the tests are collected once, and run in a fork for each mutant."""

    def __init__(self, chosen: Sequence[Mutant], cases: Sequence[str]) -> None:
        """Judge ``chosen``; ``cases`` are files of the conformance command."""
        self.outcomes: list[Outcome] = []
        self._chosen = chosen
        self._cases = cases

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The quick tests first: most mutants need no more."""
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In the place of pytest's own loop."""
        assert self._run(session, None) == 0, "without a mutant all must pass"
        for mutant in self._chosen:
            outcome = Outcome(mutant=mutant, failed=self._run(session, mutant))
            self.outcomes.append(outcome)
            if outcome.failed != CASES + TESTS:
                say(f"{len(self.outcomes)}/{len(self._chosen)} {outcome}")
        return True

    def _run(self, session: pytest.Session, mutant: Mutant | None) -> int:
        child = os.fork()
        if child:
            return _ended(child)
        code = CASES + TESTS
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (_LONGEST_S, _LONGEST_S))
            code = self._judged(session, mutant)
        finally:
            os._exit(code)

    def _judged(self, session: pytest.Session, mutant: Mutant | None) -> int:
        if mutant is not None:
            try:
                installed(mutant)
            except Exception:  # noqa: BLE001  a module that can't be imported fails everywhere
                return CASES + TESTS
        return _cases(self._cases) + _tests(session)


def main(arguments: Sequence[str]) -> int:
    """0 when the tests hold every line."""
    asked = _parsed(arguments)
    chosen = [each for each in found(asked.modules or MODULES) if _asked(each, asked.lines)]
    trial = Trial(chosen, asked.cases)
    files = [str(path) for path in sorted(_HERE.glob("test_*.py")) if path.name not in _LIVE]
    began = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        options = ["-q", "-s", "-m", "not platform", "-p", "no:cacheprovider"]
        code = pytest.main([*options, "--hypothesis-seed=0", *files], plugins=[trial])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return 2
    survivors = [each for each in trial.outcomes if not each.failed & TESTS]
    for each in survivors:
        sys.stdout.write(f"{each}{' (alike)' if each.name in EQUIVALENT else ''}\n")
    for line in _sums(trial.outcomes):
        sys.stdout.write(f"{line}\n")
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if any(each.name not in EQUIVALENT for each in survivors) else 0


def found(modules: Iterable[str]) -> Iterator[Mutant]:
    """All mutants of these modules."""
    for module in modules:
        path = importlib.import_module(module).__file__
        assert path is not None
        yield from mutants(module, Path(path).read_text())


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _sums(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for module in dict.fromkeys(each.mutant.module for each in outcomes):
        of = [each for each in outcomes if each.mutant.module == module]
        tests = sum(bool(each.failed & TESTS) for each in of)
        cases = sum(bool(each.failed & CASES) for each in of)
        yield f"{module}: {len(of)} mutants, the tests fail of {tests}, the cases of {cases}"


def _ended(child: int) -> int:
    """What the child found; one that hangs was found out, too."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else CASES + TESTS


def _cases(files: Sequence[str]) -> int:
    from midstage.hpa.conformance.__main__ import main as conformance  # noqa: PLC0415

    try:
        return CASES if any(conformance([file]) for file in files) else 0
    except Exception:  # noqa: BLE001  a crash is a failure
        return CASES


def _tests(session: pytest.Session) -> int:
    for number, item in enumerate(session.items):
        following = session.items[number + 1 : number + 2]
        item.config.hook.pytest_runtest_protocol(
            item=item, nextitem=following[0] if following else None
        )
        if session.testsfailed:
            return TESTS
    return 0


def _asked(mutant: Mutant, lines: Sequence[int]) -> bool:
    return not lines or mutant.line in lines


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hpa.mutations", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--cases", nargs="*", default=[], metavar="FILE", help="conformance files")
    parser.add_argument("--lines", nargs="*", type=int, default=[], help="only mutants of these")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
