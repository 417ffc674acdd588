"""What the specs promise: the share of an application's requests that shall be answered well.

A fold of ``midstage.apps.v1``; a fact seen twice changes nothing. Shares are whole millionths, so
that budgets are exact. An application that is gone keeps the promise under which it last ran.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    AppSpecified,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
)

MILLION = 1_000_000


def millionths(share: float) -> int:
    """A share of requests as whole millionths: 0.99999 is 999,990."""
    return round(share * MILLION)


DEFAULT = millionths(AppSpec().availability_target)
"""The target of an application without a spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One application: its target in millionths, and whether it shall run now."""

    target: int = DEFAULT
    standing: bool = False


def evolve(promise: Promise, fact: AppFact) -> Promise:
    """The promise after the fact."""
    match fact:
        case AppSpecified(spec=spec):
            return Promise(target=millionths(spec.availability_target), standing=True)
        case AppRemoved():
            return replace(promise, standing=False)
        case (
            RolloutStarted()
            | RolloutProgressed()
            | RolloutPaused()
            | RolloutResumed()
            | RolloutEnded()
        ):
            return promise
        case _:
            assert_never(fact)


def standing(promises: Mapping[str, Promise]) -> frozenset[str]:
    """The applications that shall run now."""
    return frozenset(app for app, promise in promises.items() if promise.standing)
