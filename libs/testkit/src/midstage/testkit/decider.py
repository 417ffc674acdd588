"""Given facts, when a command, then facts: how tests of a decision read.

A ``Decider`` folds the given facts with ``evolve``, hands the state and the command to ``decide``,
and compares what it returns. Nothing is decided before one of the ``then`` sentences.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

from midstage.contracts.errors import RefusedError

S = TypeVar("S")
C = TypeVar("C")
F = TypeVar("F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider(Generic[S, C, F]):
    """A pure decision under test: ``decide(state, command) -> facts`` and its fold."""

    initial: S
    decide: Callable[[S, C], Sequence[F]]
    evolve: Callable[[S, F], S]

    def given(self, *facts: F) -> "Given[S, C, F]":
        """The past, oldest first; without facts nothing has happened yet."""
        return Given(decider=self, facts=facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Generic[S, C, F]):
    """A decider with a past."""

    decider: Decider[S, C, F]
    facts: tuple[F, ...]

    @property
    def state(self) -> S:
        """What the past folds to."""
        return reduce(self.decider.evolve, self.facts, self.decider.initial)

    def when(self, command: C) -> "When[S, C, F]":
        """Somebody asks for ``command`` now."""
        return When(given=self, command=command)


@dataclass(frozen=True, slots=True, kw_only=True)
class When(Generic[S, C, F]):
    """A command on a past; each ``then`` decides it once and fails as an AssertionError."""

    given: Given[S, C, F]
    command: C

    def then(self, *expected: F) -> None:
        """Exactly these facts, in this order."""
        facts = self._facts()
        assert facts == expected, f"decided {_lines(facts)}\nexpected {_lines(expected)}"

    def then_nothing(self) -> None:
        """No fact, and no refusal."""
        facts = self._facts()
        assert not facts, f"decided {_lines(facts)}\nexpected nothing"

    def then_refused(self, match: str) -> None:
        """A RefusedError whose text has ``match`` (a regular expression) in it."""
        try:
            facts = self._decided()
        except RefusedError as refused:
            if re.search(match, str(refused)):
                return
            raise AssertionError(f"refused: {refused}\nexpected {match!r} in it") from refused
        raise AssertionError(f"decided {_lines(facts)}\nexpected a refusal with {match!r}")

    def then_state(self, expected: S) -> None:
        """The state after the decided facts, for what only the fold can show."""
        facts = self._facts()
        state = reduce(self.given.decider.evolve, facts, self.given.state)
        assert state == expected, f"the state is {state!r}\nexpected {expected!r}"

    def _facts(self) -> tuple[F, ...]:
        try:
            return self._decided()
        except RefusedError as refused:
            raise AssertionError(f"refused: {refused}") from refused

    def _decided(self) -> tuple[F, ...]:
        return tuple(self.given.decider.decide(self.given.state, self.command))


def _lines(facts: Sequence[object]) -> str:
    return "".join(f"\n  {fact!r}" for fact in facts) or " nothing"
