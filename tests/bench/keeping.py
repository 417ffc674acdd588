"""What it costs throttle to keep the counters of many customers, and to have many limits.

The gate alone, in a process of its own for each size: no port, no log. The least of them is the
peer of the others: their ratio is what a check costs more, and ought to be about 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.children import module, told
from tests.bench.figures import Figure, Measure, figures
from tests.bench.remembering import Remembered
from tests.bench.resting import Rested
from tests.bench.rounds import Contestant, Size, interleaved

GROUP: Final = "checks-many"
CHECK: Final = Measure(name="a check", unit="CPU us", more_is_better=False)
CHANGE: Final = Measure(name="a change of a limit", unit="CPU us", more_is_better=False)
MEMORY: Final = Measure(name="memory of all counters", unit="MiB", more_is_better=False)
EACH: Final = Measure(name="memory of a counter", unit="bytes", more_is_better=False)
_WITHIN_S: Final = 540.0
_CHECKS: Final = 100_000
_QUICK: Final = 20
"""So much smaller is a smoke run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How much there is: each customer meets ``met`` of the ``limits``."""

    customers: int
    limits: int
    met: int

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"{self.customers:,} × {self.met} of {self.limits:,}"


_SIZES: Final = (
    Kept(customers=1_000, limits=3, met=3),
    Kept(customers=1_000, limits=1_000, met=3),
    Kept(customers=1_000, limits=100_000, met=3),
    Kept(customers=333_334, limits=3, met=3),
    Kept(customers=1_000, limits=1, met=1),
    Kept(customers=1_000_000, limits=1, met=1),
)
_RESTING: Final = "with room, and at rest"
_CUSTOMERS: Final = 1_000_000
_EACH_S: Final = 5_000
_PEERS: Final = (0, 4)
"""The least of those with three limits, and of those with one."""


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Each size in each round."""
    del bootstrap, directory
    less = _QUICK if size.rounds == 1 else 1
    sizes = [replace(kept, customers=kept.customers // less) for kept in _SIZES]
    checks = _CHECKS // less
    taken = interleaved(
        [
            *[Contestant(name=kept.name, run=partial(_run, kept, checks)) for kept in sizes],
            Contestant(name=_RESTING, run=partial(_rest, _CUSTOMERS // less)),
        ],
        group=GROUP,
        rounds=min(2, size.rounds),
    )
    counts = {kept.name: f"{checks:,} checks" for kept in sizes}
    counts[_RESTING] = f"{_CUSTOMERS // less:,} customers, {_EACH_S:,} a second"
    peers = [sizes[number].name for number in _PEERS]
    measures = [CHECK, CHANGE, MEMORY, EACH]
    return figures(group=GROUP, measures=measures, taken=taken, peers=peers, counts=counts)


def _run(kept: Kept, checks: int) -> Mapping[str, float]:
    given = map(str, (kept.customers, kept.limits, kept.met, checks))
    found = told(
        module("tests.bench.remembering", *given), Remembered, name=kept.name, within_s=_WITHIN_S
    )
    return {
        CHECK.name: found.cpu_us,
        CHANGE.name: found.change_us,
        MEMORY.name: found.added_mib,
        EACH.name: found.added_mib * 1024**2 / found.keys,
    }


def _rest(customers: int) -> Mapping[str, float]:
    given = map(str, (customers, _EACH_S))
    found = told(module("tests.bench.resting", *given), Rested, name=_RESTING, within_s=_WITHIN_S)
    return {
        CHECK.name: found.again_us,
        MEMORY.name: found.most_mib,
        EACH.name: found.most_mib * 1024**2 / found.keys,
    }
