"""Which test runs which statements of the engine, and what it costs: found by running them once.

Probes take the place of the engine's functions, in threads too; what a test starts as a process of
its own is not seen. A test whose file did not change since is not run again.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.hpa.forks import forked
from tests.hpa.mutants import PROBE, forgotten, installed, probed

_AT_ONCE: Final = 20
_WAITED: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A test's processor time (or a part of the time it waited), and what it runs by module."""

    cost_s: float
    statements: Mapping[str, frozenset[int]]

    def runs(self, module: str, statement: int) -> bool:
        """Whether it may run the statement; 0 is outside of functions: anyone may look there."""
        return not statement or statement in self.statements.get(module, ())


def reaches(
    session: pytest.Session, sources: Mapping[str, str], *, kept: Path | None, processes: int
) -> Sequence[Reach]:
    """Of each of the session's tests; AssertionError where one fails."""
    items = session.items
    marks = [_mark(item, sources) for item in items]
    known = _read(kept)
    asked = [number for number, mark in enumerate(marks) if mark not in known]
    parts = [tuple(asked[at : at + _AT_ONCE]) for at in range(0, len(asked), _AT_ONCE)]

    def part(numbers: Sequence[int]) -> Sequence[Reach]:
        return _probed(session, numbers, sources)

    for numbers, found in forked(part, parts, processes=processes):
        assert found is not None, "without a mutant all must pass"
        known |= {marks[number]: reach for number, reach in zip(numbers, found, strict=True)}
        _write(kept, known)
    return [known[mark] for mark in marks]


def ran(session: pytest.Session, number: int) -> bool:
    """Whether the test passed."""
    failed = session.testsfailed
    item = session.items[number]
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return session.testsfailed == failed


def _probed(
    session: pytest.Session, numbers: Sequence[int], sources: Mapping[str, str]
) -> Sequence[Reach]:
    seen: dict[str, set[int]] = {module: set() for module in sources}
    for module, source in sources.items():
        setattr(sys.modules[module], PROBE, _noted(seen, module))
        installed(module, probed(source))
    found = []
    for number in numbers:
        forgotten(sources)
        for lines in seen.values():
            lines.clear()
        began, waited = _used_s(), time.monotonic()
        assert ran(session, number), session.items[number].nodeid
        cost_s = max(_used_s() - began, _WAITED * (time.monotonic() - waited))
        statements = {module: frozenset(lines) for module, lines in seen.items() if lines}
        found.append(Reach(cost_s=cost_s, statements=statements))
    return found


def _noted(seen: Mapping[str, set[int]], module: str) -> Callable[[int], None]:
    return seen[module].add


def _used_s() -> float:
    return sum(os.times()[:4])


def _mark(item: pytest.Item, sources: Mapping[str, str]) -> str:
    said = hashlib.sha256(item.path.read_bytes())
    for source in sources.values():
        said.update(source.encode())
    return f"{item.nodeid} {said.hexdigest()[:16]}"


def _read(kept: Path | None) -> dict[str, Reach]:
    if kept is None or not kept.exists():
        return {}
    return {
        mark: Reach(
            cost_s=cost_s,
            statements={module: frozenset(lines) for module, lines in statements.items()},
        )
        for mark, (cost_s, statements) in json.loads(kept.read_text()).items()
    }


def _write(kept: Path | None, known: Mapping[str, Reach]) -> None:
    if kept is not None:
        plain = {
            mark: (reach.cost_s, {module: sorted(of) for module, of in reach.statements.items()})
            for mark, reach in known.items()
        }
        kept.write_text(json.dumps(plain))
