"""``python -m tests.hpa.mutations``: is every line of the engine held by the tests?

Each mutant of the engine's modules is put to the conformance cases and to hpa's own tests, in a
forked process, until the first failure. Of the tests those alone that run the changed statement,
for no other can fail by it (``reach``); first those that found most for the time they take. A line
for each that a side let pass, then the sums; 1 where the tests let one pass that is not named in
``alike.txt``. ``--keep`` goes on where a run ended: only what was let pass is judged again.
"""

import argparse
import contextlib
import importlib
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.hpa.forks import forked, silent, watched
from tests.hpa.judged import CASES, DECIDE, EQUIVALENT, TESTS, Kept, Outcome, sides, source_of, sums
from tests.hpa.mutants import Mutant, installed, mutants
from tests.hpa.reach import Reach, ran, reaches

MODULES: Final = tuple(
    f"{DECIDE}.{name}"
    for name in (
        *("stages", "hpav2.behavior", "hpav2.pods", "hpav2.proposing", "kpa"),
        *("situation", "evaluate", "manual", "timed", "figures", "policies", "capacity"),
        *("rules", "rules.knative", "rules.latency", "rules.metrics", "rules.resources"),
        *("rules.signals", "rules.totals", "scaling"),
        *("forecast.backtest", "forecast.floor", "forecast.foreseen", "forecast.seasons"),
    )
)
"""All that makes a count of inputs; not who decides, nor what is told of it afterwards."""
_HERE: Final = Path(__file__).parent
_LIVE: Final = frozenset({"test_process.py", "test_kafka.py"})
"""Whole processes: too slow, and nothing of the engine is asked there alone."""
_EACH: Final = 50


class Trial:
    """A pytest plugin: the tests are collected once, and run in a fork for each mutant."""

    def __init__(
        self,
        chosen: Sequence[Mutant],
        cases: Sequence[str],
        *,
        keep: Path | None,
        processes: int,
        longest_s: float,
    ) -> None:
        """Judge ``chosen``; ``cases`` are files of the conformance command."""
        self.outcomes: list[Outcome] = []
        self._chosen = chosen
        self._cases = cases
        self._keep = keep
        self._processes = processes
        self._longest_s = longest_s
        self._found: Counter[tuple[str, int]] = Counter()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In the place of pytest's own loop."""
        self._session = session
        self._reaches: Sequence[Reach] = reaches(
            session,
            {module: source_of(module) for module in MODULES},
            kept=None if self._keep is None else self._keep / "reach.json",
            processes=self._processes,
        )
        assert not _cases(self._cases), "without a mutant all cases must pass"
        kept = Kept(None if self._keep is None else self._keep / "outcomes.jsonl")
        self.outcomes += kept.of(self._chosen)
        held = {id(each.mutant) for each in self.outcomes}
        rest = [each for each in self._chosen if id(each) not in held]
        say(f"{len(self.outcomes)} of {len(self._chosen)} mutants are known to fail")
        for mutant, said in forked(self._judged, rest, processes=self._processes):
            failed, test = (CASES + TESTS, None) if said is None else said
            by = "" if test is None else session.items[test].nodeid
            outcome = Outcome(mutant=mutant, failed=failed, by=by)
            if test is not None:
                self._found[mutant.module, test] += 1
            self.outcomes.append(outcome)
            kept.add(outcome)
            self._told(outcome)
        return True

    def _told(self, outcome: Outcome) -> None:
        if not outcome.failed & TESTS:
            say(f"{len(self.outcomes)}/{len(self._chosen)} {outcome}")
        if len(self.outcomes) % _EACH == 0:
            counts = Counter(each.failed for each in self.outcomes)
            say(f"{len(self.outcomes)}/{len(self._chosen)} {sides(counts)}")

    def _judged(self, mutant: Mutant) -> tuple[int, int | None]:
        """Which sides failed, and by which test."""
        silent()
        watched(1.0)
        try:
            installed(mutant.module, mutant.tree(source_of(mutant.module)))
        except Exception:  # noqa: BLE001  a module that can't be imported fails everywhere
            return CASES + TESTS, None
        cases = _cases(self._cases)
        for number in self._order(mutant):
            watched(self._reaches[number].cost_s)
            if not ran(self._session, number):
                return cases + TESTS, number
        return cases, None

    def _order(self, mutant: Mutant) -> Sequence[int]:
        """Who runs the statement, the likeliest failure for the time first."""

        def worth(number: int) -> float:
            found = 0.02 + self._found[mutant.module, number]
            return found / (0.01 + self._reaches[number].cost_s)

        run = [
            number
            for number, reach in enumerate(self._reaches)
            if reach.runs(mutant.module, mutant.statement) and reach.cost_s <= self._longest_s
        ]
        return sorted(run, key=worth, reverse=True)


def main(arguments: Sequence[str]) -> int:
    """0 when the tests hold every line."""
    asked = _parsed(arguments)
    for module in MODULES:
        importlib.import_module(module)
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    chosen = [each for each in found(asked.modules or MODULES) if _asked(each, asked.lines)]
    trial = Trial(
        chosen,
        asked.cases,
        keep=asked.keep,
        processes=asked.processes,
        longest_s=asked.longest_s,
    )
    files = [str(path) for path in sorted(_HERE.glob("test_*.py")) if path.name not in _LIVE]
    began = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        options = ["-q", "-s", "--tb=no", "-m", "not platform", "-p", "no:cacheprovider"]
        code = pytest.main([*options, "--hypothesis-seed=0", *files], plugins=[trial])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return 2
    survivors = [each for each in trial.outcomes if not each.failed & TESTS]
    for each in survivors:
        sys.stdout.write(f"{each}{' (alike)' if each.name in EQUIVALENT else ''}\n")
    for line in sums(trial.outcomes):
        sys.stdout.write(f"{line}\n")
    say(f"{time.monotonic() - began:.0f} s")
    return 1 if any(each.name not in EQUIVALENT for each in survivors) else 0


def found(modules: Iterable[str]) -> Iterator[Mutant]:
    """All mutants of these modules."""
    for module in modules:
        yield from mutants(module, source_of(module))


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _cases(files: Sequence[str]) -> int:
    from midstage.hpa.conformance.__main__ import main as conformance  # noqa: PLC0415

    try:
        return CASES if any(conformance([file]) for file in files) else 0
    except Exception:  # noqa: BLE001  a crash is a failure
        return CASES


def _asked(mutant: Mutant, lines: Sequence[int]) -> bool:
    return not lines or mutant.line in lines


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hpa.mutations", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--cases", nargs="*", default=[], metavar="FILE", help="conformance files")
    parser.add_argument("--lines", nargs="*", type=int, default=[], help="only mutants of these")
    parser.add_argument("--processes", type=int, default=1, help="so many mutants at a time")
    parser.add_argument(
        "--longest-s", type=float, default=float("inf"), help="leave slower tests out: a first look"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="what is known; goes on from it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
