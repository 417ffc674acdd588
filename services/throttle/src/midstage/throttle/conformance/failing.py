"""Cases of what holds while the truth is away, of parallel calls, and of what is told twice."""

import asyncio
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from midstage.chassis.cases import Differing
from midstage.throttle.conformance.limits import UNITS, Base, accounts, meter
from midstage.throttle.conformance.reserving import Case, of_steps
from midstage.throttle.conformance.shapes import compared, ns
from midstage.throttle.decide.charging import admitted
from midstage.throttle.decide.failing import passed_in_failure, share
from midstage.throttle.decide.leasing import Apportioning, Asking, Leases, granted
from midstage.throttle.decide.meters.window import FixedWindow, LifetimeQuota
from midstage.throttle.model.account import CLOSED, OPEN, FailureTerms, OnFailure, PlainAccount

_CASE: Final = msgspec.json.Decoder(Case)


def judged(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """Steps, or what all replicas and all calls come to together."""
    del configs
    case = _CASE.decode(raw)
    if case.steps:
        return list(of_steps(case))
    base = case.base
    without = max(_without_store(base), _with_leases(base))
    found: dict[str, object] = {
        "max_admitted_total": without,
        "max_admitted": without,
        "admitted": asyncio.run(_at_once(base)),
        "allow": _passes_in_failure(base),
    }
    return list(compared(case.expect, found))


def _passes_in_failure(base: Base) -> bool:
    """Whether a call passes that can't be decided, under the rule of the base."""
    closed = base.on_failure in ("closed", "deny") or bool(base.failure_mode_deny)
    account = PlainAccount(UNITS, meter(base), on_failure=CLOSED if closed else OPEN)
    return passed_in_failure((account,), (1,), 0, {}) is None


def _without_store(base: Base) -> int:
    """Each replica asked for the whole limit and more, under the rule ``open to N``."""
    limit, total = base.limit or 0, 0
    terms = FailureTerms(rule=OnFailure.OPEN_TO, most=limit)
    for replica in range(base.replicas):
        own = share(terms.most, replicas=base.replicas, replica=replica)
        fallback = FixedWindow(limit=own, period_ns=ns(base.window_s), now_ns=0)
        account = PlainAccount(UNITS, meter(base), on_failure=terms)
        passed = [
            passed_in_failure((account,), (1,), 0, {UNITS: fallback}) is None
            for _ in range(2 * limit)
        ]
        total += sum(passed)
    return total


def _with_leases(base: Base) -> int:
    """Replicas come one after the other, each asks its owner for all, and admits its lease."""
    limit, total = base.limit or 0, 0
    leases = Leases(
        capacity=Fraction(limit), apportioning=Apportioning.FAIR_SHARE, term_ns=ns(base.window_s)
    )
    for replica in range(base.replicas):
        lease = leases.ask(Asking(holder=f"replica {replica}", wants=Fraction(limit)), 0)
        lent = LifetimeQuota(limit=granted(lease))
        total += sum(lent.take(1, 0) for _ in range(2 * limit))
    return total


async def _at_once(base: Base) -> int:
    """As many calls as the case says, in flight together on one event loop."""
    held = accounts(base)

    async def call() -> bool:
        await asyncio.sleep(0)
        passed = admitted(held, [1] * len(held), 0) is None
        await asyncio.sleep(0)
        return passed

    return sum(await asyncio.gather(*(call() for _ in range(base.parallel_calls))))
