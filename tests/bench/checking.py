"""Decisions of throttle beside those of its peers, in one run.

All are asked in closed loops by programs that cost a fraction of any server here. What has a Redis
is charged for its work too. The limits are never reached: nobody is quicker for refusing.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.local.errors import PlatformError
from midstage.local.ports import found
from midstage.testkit.waiting import within
from midstage.throttle.adapters.questions import DOMAIN
from tests.bench import loading, reference
from tests.bench.children import module, running, told
from tests.bench.envoys import APP, CUSTOMER
from tests.bench.figures import Figure, Measure, figures
from tests.bench.libraries import LIMITS, THROTTLED, Worked
from tests.bench.limiter import Limiter, limiting
from tests.bench.loading import Load
from tests.bench.redis_server import redis
from tests.bench.rounds import Contestant, Size, interleaved, say

GROUP: Final = "checks"
OURS, IMPORTED = "midstage throttle", "midstage, imported rules"
FORWARDED: Final = "midstage, asked of another one"
BARE, INCR = "bare grpc.aio", "Redis INCR"
STREAMS: Final = (1, 8, 64)
_PER_COMMAND: Final = 40
"""Checks for each command of a size: 60,000 in full."""
_FEWER: Final = 6
"""A stream that is alone, and libraries, have so much less to do: rates are compared."""
_WITHIN_S: Final = 300.0
NATIVE: Final = ((("customer", CUSTOMER), ("app", APP), ("request_id", "7f0c-93ab")),)

Descriptors = tuple[tuple[tuple[str, str], ...], ...]
Asking = Callable[[int, int], Load]
"""From a count and a number of streams to what the generator saw."""
WAITED: Final = Measure(name="checks that waited for the log", unit="%", more_is_better=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How one is asked, the processes that it costs, and what of all its checks waited."""

    asking: Asking
    pids: Iterable[int]
    limiter: Limiter | None = None

    def waited(self) -> Mapping[str, float]:
        """In percent, of one that counts them."""
        checks = 0.0 if self.limiter is None else self.limiter.counted("checks")
        if self.limiter is None or not checks:
            return {}
        return {WAITED.name: self.limiter.counted("room_waited") / checks * 100}


Way = Callable[[], AbstractContextManager[Asked]]
"""One that runs meanwhile."""


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Rounds of each number of streams; what can't be had here is said and left out."""
    directory /= GROUP
    directory.mkdir()
    count = size.commands * _PER_COMMAND
    contestants = list(_contestants(bootstrap, directory, count))
    if not contestants:
        return []
    taken = interleaved(contestants, group=GROUP, rounds=min(3, size.rounds))
    counts = {each.name: f"{count:,} checks" for each in contestants}
    counts |= dict.fromkeys((LIMITS, THROTTLED), f"{count // _FEWER:,} checks")
    measures = [*(each for streams in STREAMS for each in _measures(streams)), WAITED]
    return figures(
        group=GROUP, measures=measures, taken=taken, peers=(reference.NAME, INCR), counts=counts
    )


def _contestants(bootstrap: str, directory: Path, count: int) -> Iterator[Contestant]:
    """Those that can run here."""
    if absent := loading.missing("h2load"):
        say(f"{GROUP}: {absent}: nothing is measured")
        return
    yield _asked(OURS, partial(_ours, bootstrap, directory / "ours"), count)
    yield _asked(FORWARDED, partial(_forwarded, bootstrap, directory / "forwarded"), count)
    yield _asked(IMPORTED, partial(_imported, bootstrap, directory / "imported"), count)
    yield _asked(BARE, partial(_bare, directory / "bare"), count)
    if absent := loading.missing("redis-server", "redis-benchmark"):
        say(f"{GROUP}: {absent}: without {reference.NAME}, Redis, {LIMITS} and {THROTTLED}")
        return
    try:
        reference.binary()
    except PlatformError as e:
        say(f"{GROUP}: without {reference.NAME}: {e}")
    else:
        yield _asked(reference.NAME, partial(_reference, directory / "reference"), count)
    yield _asked(INCR, partial(_incremented, directory / "incr"), count)
    for name in (LIMITS, THROTTLED):
        run = partial(_worked, name, directory / "library", count // _FEWER)
        yield Contestant(name=name, run=run)


def _measures(streams: int) -> tuple[Measure, ...]:
    plural = "stream" if streams == 1 else "streams"
    cpu = Measure(name=f"{streams} {plural}, processor", unit="CPU us/check", more_is_better=False)
    if streams > 1:
        return (Measure(name=f"{streams} {plural}, checks", unit="/s"), cpu)
    p50, p99 = (
        Measure(name=f"{streams} {plural}, {q}", unit="us", more_is_better=False)
        for q in ("p50", "p99")
    )
    return (p50, p99, cpu)


def _values(streams: int, load: Load | Worked, cpu_us: float) -> Mapping[str, float]:
    found = (load.rate, cpu_us) if streams > 1 else (load.p50_us, load.p99_us, cpu_us)
    return {measure.name: value for measure, value in zip(_measures(streams), found, strict=True)}


def _asked(name: str, way: Way, count: int) -> Contestant:
    def run() -> Mapping[str, float]:
        measured: dict[str, float] = {}
        with way() as asked:
            asked.asking(count // 10, STREAMS[-1])  # warm
            for streams in STREAMS:
                most = count if streams > 1 else count // _FEWER
                before = consumed_s(asked.pids)
                load = asked.asking(most, streams)
                cpu_us = (consumed_s(asked.pids) - before) / most * 1e6
                measured |= _values(streams, load, cpu_us)
            measured |= asked.waited()
        return measured

    return Contestant(name=name, run=run)


def _worked(name: str, directory: Path, count: int) -> Mapping[str, float]:
    """A library, in a process of its own that measures itself."""
    with redis(directory) as (port, pid):
        given = (name, str(port), str(pid), str(count), *map(str, STREAMS))
        by_streams = told(
            module("tests.bench.libraries", *given),
            dict[int, Worked],
            name=name,
            within_s=_WITHIN_S,
        )
    measured: dict[str, float] = {}
    for streams, worked in by_streams.items():
        measured |= _values(streams, worked, worked.cpu_us)
    return measured


def native(directory: Path) -> Path:
    """What a request of the bench asks of native limits, as a prepared body in ``directory``."""
    return question(DOMAIN, NATIVE, directory)


def question(domain: str, descriptors: Descriptors, at: Path) -> Path:
    """The prepared body in ``at``."""
    asked = rls_pb2.RateLimitRequest(domain=domain)
    for entries in descriptors:
        descriptor = asked.descriptors.add()
        for key, value in entries:
            descriptor.entries.add(key=key, value=value)
    message = asked.SerializeToString()
    at.mkdir(parents=True, exist_ok=True)
    body = at / "body"
    body.write_bytes(b"\x00" + len(message).to_bytes(4, "big") + bytes(message))
    return body


def _checks(port: int, body: Path) -> Asking:
    return lambda count, streams: loading.checks(port, body=body, count=count, streams=streams)


@contextmanager
def _ours(bootstrap: str, directory: Path) -> Iterator[Asked]:
    shutil.rmtree(directory, ignore_errors=True)
    with limiting(bootstrap, directory) as ours:
        asking = _checks(ours.port, native(directory))
        yield Asked(asking=asking, pids=[ours.pid], limiter=ours)


@contextmanager
def _forwarded(bootstrap: str, directory: Path) -> Iterator[Asked]:
    """Two processes; the one that is asked does not count for the customer."""
    shutil.rmtree(directory, ignore_errors=True)
    body = native(directory)
    with (
        limiting(bootstrap, directory / "one") as one,
        limiting(bootstrap, directory / "two") as two,
    ):
        within(_WITHIN_S, lambda: _forwards(one, body) is not _forwards(two, body))
        asked = one if _forwards(one, body) else two
        yield Asked(asking=_checks(asked.port, body), pids=[one.pid, two.pid])


def _forwards(limiter: Limiter, body: Path) -> bool:
    """Whether another one counts for the customer."""
    before = limiter.counted("forwarded")
    _checks(limiter.port, body)(1, 1)
    return limiter.counted("forwarded") > before


@contextmanager
def _imported(bootstrap: str, directory: Path) -> Iterator[Asked]:
    shutil.rmtree(directory, ignore_errors=True)
    rules = reference.rules_in(directory / "rules")
    with limiting(bootstrap, directory / "throttle", rules) as ours:
        body = question(reference.DOMAIN, reference.QUESTION, directory)
        yield Asked(asking=_checks(ours.port, body), pids=[ours.pid])


@contextmanager
def _bare(directory: Path) -> Iterator[Asked]:
    (port,) = found(1)
    command = module("tests.bench.bare_grpc", str(port))
    with running(command, log=directory / "grpc.log") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        asking = _checks(port, native(directory))
        yield Asked(asking=asking, pids=[child.pid])


@contextmanager
def _reference(directory: Path) -> Iterator[Asked]:
    with reference.ratelimit(directory) as (port, pids):
        body = question(reference.DOMAIN, reference.QUESTION, directory)
        yield Asked(asking=_checks(port, body), pids=pids)


@contextmanager
def _incremented(directory: Path) -> Iterator[Asked]:
    with redis(directory) as (port, pid):
        yield Asked(
            asking=lambda count, streams: loading.increments(port, count=count, streams=streams),
            pids=[pid],
        )


def consumed_s(pids: Iterable[int]) -> float:
    """Seconds of the processor that they have had."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)
