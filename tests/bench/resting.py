"""What throttle's counters take with room for each, as customers come and go; no port, no broker.

``python -m tests.bench.resting CUSTOMERS EACH_S`` lets every customer ask twice, ``EACH_S`` of them
a second by a clock of its own, in turn. The fold of the log is the real one and is told of each
claim at once. It prints one JSON line (``Rested``).
"""

import gc
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
import psutil
from prometheus_client import CollectorRegistry

from midstage.contracts.spends import CustomersTaken, Unanswered
from midstage.testkit.clock import NOON
from midstage.throttle.decide.rested import Rested as Known
from midstage.throttle.decide.spends import Claimed, Spends, Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check
from midstage.throttle.model.holding import Holding
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.gate import FOLLOW_S, Gate
from midstage.throttle.stream.own_claims import Written
from midstage.throttle.stream.rooms import Rooms
from tests.bench.remembering import APP, Fixed, limit_of

_OWNER: Final = "throttle/bench"
_NS_PER_S: Final = 1_000_000_000
_ROUNDS: Final = 2


class Rested(msgspec.Struct, frozen=True, kw_only=True):
    """``most_mib`` is what the process grew by at most, ``awake`` how many were no bytes then."""

    keys: int
    most_mib: float
    awake: int
    new_us: float
    again_us: float


class Told:
    """The fold of a log that has everything at once."""

    def __init__(self) -> None:
        """One process holds all customers, and may use what is implied."""
        self._spends = Spends()
        self._spends.apply(CustomersTaken(partition=0, owner=_OWNER, epoch=1, at=NOON), 0)
        self._heard: list[Written] = []
        self._holding = Holding(until_ns=2**63)
        self.stood = self._spends.stood

    def unanswered(
        self, partitions: Collection[int]
    ) -> Sequence[tuple[Key, tuple[Unanswered, ...]]]:
        """None is strict."""
        del partitions
        return ()

    def write(self, claims: Sequence[Written]) -> None:
        """Each is decoded as if it had been read."""
        self._heard += claims
        for each in claims:
            limit, customer, key = each.key
            standing = msgspec.json.encode([str(number) for number in each.claim])
            claimed = Claimed(
                limit=limit,
                customer=bytes(customer, "ascii").decode(),
                key=key,
                units=each.units,
                algorithm=each.algorithm,
                standing=msgspec.Raw(standing),
                owner=_OWNER,
                epoch=1,
            )
            self._spends.claimed([claimed], 0)

    def heard(self) -> tuple[Sequence[Written], frozenset[int]]:
        """All that was written."""
        heard, self._heard = self._heard, []
        return heard, frozenset()

    def partition(self, customer: str) -> int:
        """There is one."""
        del customer
        return 0

    def holding(self, customer: str) -> Holding:
        """For ever."""
        del customer
        return self._holding

    def renew(self) -> None:
        """It lasts."""

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        """As in life."""
        for key, stood in self._spends.in_turn(1 + len(self._spends) // 10_000):
            is_new(key, stood)

    def on_heard(self, call: Callable[[], None]) -> None:
        """It is asked."""

    def rest(self, counters: Sequence[tuple[Key, Known]]) -> Sequence[bool]:
        """Beside what stands."""
        return [self._spends.rest(key, known) for key, known in counters]

    def resting(self) -> Sequence[Key]:
        """Those."""
        return self._spends.resting()


class Process:
    """A gate, its rooms and its clock."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self.now_ns = 1_800_000_000 * _NS_PER_S
        registry = CollectorRegistry()
        metrics = Metrics(registry)
        told = Told()
        self.rooms = Rooms(spends=told, now_ns=self._now, metrics=metrics, beside=told)
        self.gate = Gate(
            limits=Fixed([limit_of("met")]),
            keeping=self.rooms,
            monotonic_ns=self._now,
            wall_ns=self._now,
            metrics=metrics,
            caller_timeout_s=1.0,
            late_below_s=0.0,
        )
        self.gate.follow()
        self._registry = registry

    @property
    def awake(self) -> int:
        """How many accounts there are."""
        return int(self._registry.get_sample_value("midstage_throttle_meters") or 0)

    def turn(self) -> None:
        """What happens in ``FOLLOW_S`` beside checks."""
        self.now_ns += int(FOLLOW_S * _NS_PER_S)
        for _ in self.gate.tend():
            pass
        self.rooms.turn()

    def _now(self) -> int:
        return self.now_ns


def main(arguments: list[str]) -> None:
    """Ask and tell."""
    customers, each_s = map(int, arguments)
    at_once = int(each_s * FOLLOW_S)
    process = Process()
    before = _resident()
    most, awake, spent = 0.0, 0, [0.0] * _ROUNDS
    for turn in range(_ROUNDS):
        for start in range(0, customers, at_once):
            checks = [_check(n) for n in range(start, min(customers, start + at_once))]
            began = time.process_time()
            for check in checks:
                process.gate.check(check, None)
            process.turn()
            spent[turn] += time.process_time() - began
        gc.collect()
        most, awake = max((most, awake), ((_resident() - before) / 1024**2, process.awake))
    told = Rested(
        keys=customers,
        most_mib=most,
        awake=awake,
        new_us=spent[0] / customers * 1e6,
        again_us=spent[1] / customers * 1e6,
    )
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


def _check(number: int) -> Check:
    """Of more than comes in again meanwhile."""
    return Check(customer=f"customer-{number:07}", app=APP, hits=1000)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main(sys.argv[1:])
