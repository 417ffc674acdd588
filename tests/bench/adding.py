"""What asking before each request costs a caller: Envoy as our gateway, with and without asking.

One caller waits for each answer. Every front is measured right after the one that does not ask, so
what is added is told by each round for itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from midstage.local.errors import PlatformError
from midstage.local.ports import found
from tests.bench import envoys, loading, reference
from tests.bench.children import module, running
from tests.bench.edge import asked_of, called, decided
from tests.bench.envoys import Front
from tests.bench.figures import Figure, Measure, figures
from tests.bench.limiter import throttle
from tests.bench.rounds import Contestant, Size, interleaved, say

GROUP: Final = "checks-envoy"
OURS: Final = "midstage throttle"
ADDED: Final = Measure(name="added to a request, p50", unit="ms", more_is_better=False)
P50: Final = Measure(name="a request, p50", unit="ms", more_is_better=False)
P99: Final = Measure(name="a request, p99", unit="ms", more_is_better=False)
DECIDED: Final = Measure(name="decided in Envoy's time", unit="%")


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """All fronts stand; each in turn has the one caller."""
    directory /= GROUP
    directory.mkdir()
    with ExitStack() as standing:
        enter = standing.enter_context
        [replica] = found(1)
        enter(running(module("tests.bench.replica", str(replica)), log=directory / "replica.log"))
        without = enter(
            envoys.gateway(replica=replica, throttle=None, directory=directory / "without")
        )
        fronts = {
            name: enter(
                envoys.gateway(replica=replica, throttle=port, directory=directory / "with" / name)
            )
            for name, port in _asked(bootstrap, directory, standing)
        }
        taken = interleaved(
            [
                Contestant(name=name, run=partial(_run, front, without, size.seconds))
                for name, front in fronts.items()
            ],
            group=GROUP,
            rounds=min(3, size.rounds),
        )
    counts = dict.fromkeys(fronts, f"1 caller, {size.seconds:g} s")
    return figures(
        group=GROUP,
        measures=[ADDED, P50, P99, DECIDED],
        taken=taken,
        peers=(reference.NAME,),
        counts=counts,
    )


def _asked(bootstrap: str, directory: Path, standing: ExitStack) -> Iterator[tuple[str, int]]:
    """Names and ports of those who are asked, as far as they can be had here."""
    yield OURS, standing.enter_context(throttle(bootstrap, directory / "ours"))
    if absent := loading.missing("redis-server"):
        say(f"{GROUP}: {absent}: without {reference.NAME}")
        return
    try:
        port, _ = standing.enter_context(reference.ratelimit(directory / "reference"))
    except PlatformError as e:
        say(f"{GROUP}: without {reference.NAME}: {e}")
        return
    yield reference.NAME, port


def _run(front: Front, without: Front, seconds: float) -> Mapping[str, float]:
    alone = called(without, callers=1, seconds=seconds)
    before = asked_of(front)
    asking = called(front, callers=1, seconds=seconds)
    return {
        ADDED.name: asking.p50_ms - alone.p50_ms,
        P50.name: asking.p50_ms,
        P99.name: asking.p99_ms,
        DECIDED.name: decided(before, asked_of(front)),
    }
