"""What throttle's gate costs with many customers and with many limits; no port, no log.

``python -m tests.bench.remembering CUSTOMERS LIMITS MET CHECKS`` sets ``LIMITS`` limits of which
each customer meets ``MET``, lets every customer ask once, and then those of a fixed random order.
It prints one JSON line (``Remembered``).
"""

import gc
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import psutil
from prometheus_client import CollectorRegistry

from midstage.contracts.algorithms import TokenBucket
from midstage.contracts.limits import LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check
from midstage.throttle.model.limits import Standing, limit_key
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.unkept import Unkept

APP: Final = "chat"
_AMOUNT: Final = 1_000_000
_CHANGES: Final = 100
_MONTH_S: Final = 2_592_000.0
"""So slow a bucket that none of them is full again, and may be forgotten, within a run."""


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """``added_mib`` is what the process grew by as every customer asked once.

    ``change_us``: what it takes to follow one change of a limit.
    """

    keys: int
    added_mib: float
    cpu_us: float
    change_us: float


class Fixed:
    """Limits that change when they are told to."""

    def __init__(self, facts: Sequence[LimitSet]) -> None:
        """All of them are known from the beginning."""
        self._states = {limit_key(fact.limit): Standing(fact=fact) for fact in facts}
        self._changed: Mapping[str, Standing] = {}
        self._number = 1

    def changes(self, since: int) -> tuple[int, Mapping[str, Standing]]:
        """All, and then what was changed."""
        return self._number, self._changed if since else self._states

    def change(self, fact: LimitSet) -> None:
        """It holds from now on, and none of the others is another one."""
        self._number += 1
        self._changed = {limit_key(fact.limit): Standing(fact=fact)}

    def caught_up(self) -> None:
        """There is nothing to wait for."""


def main(arguments: list[str]) -> None:
    """Ask and tell."""
    customers, limits, met, checks = map(int, arguments)
    log, gate = _gate(limits, met)
    before = _resident()
    for number in range(customers):
        gate.check(check_of(number), None)
    gc.collect()
    added = _resident() - before
    picked = random.Random(7)
    order = [check_of(picked.randrange(customers)) for _ in range(checks)]
    began = time.process_time()
    for check in order:
        gate.check(check, None)
    asked = time.process_time() - began
    told = Remembered(
        keys=customers * met,
        added_mib=added / 1024**2,
        cpu_us=asked / checks * 1e6,
        change_us=_changes(log, gate, limits),
    )
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


def _changes(log: Fixed, gate: Gate, limits: int) -> float:
    """Of the last limit, some times, less what it takes to follow nothing."""
    last = limits - 1
    spent: dict[bool, float] = {}
    for changing in (False, True):
        began = time.process_time()
        for number in range(_CHANGES):
            if changing:
                log.change(limit_of(f"other-{last}", customer=f"other-{last}", more=number))
            gate.follow()
        spent[changing] = time.process_time() - began
    return (spent[True] - spent[False]) / _CHANGES * 1e6


def _gate(limits: int, met: int) -> tuple[Fixed, Gate]:
    """``met`` limits for everybody, the others for customers who never ask."""
    facts = [limit_of(f"met-{number}") for number in range(met)]
    facts += [limit_of(f"other-{n}", customer=f"other-{n}") for n in range(limits - met)]
    log = Fixed(facts)
    gate = Gate(
        limits=log,
        keeping=Unkept(),
        monotonic_ns=time.monotonic_ns,
        wall_ns=time.time_ns,
        metrics=Metrics(CollectorRegistry()),
        caller_timeout_s=1.0,
        late_below_s=0.0,
    )
    gate.follow()
    return log, gate


def limit_of(name: str, customer: str = "*", more: int = 0) -> LimitSet:
    """Of a million requests a month."""
    return LimitSet(
        limit=name,
        customer=customer,
        amount=_AMOUNT + more,
        algorithm=TokenBucket(period_s=_MONTH_S),
        at=NOON,
    )


def check_of(number: int) -> Check:
    """Of that customer."""
    return Check(customer=f"customer-{number:07}", app=APP)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main(sys.argv[1:])
