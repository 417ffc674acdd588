"""How long requests took, in blocks of 15 s by event time, for learning what a replica carries.

A block closes with the first fact of 3 s after it that says it is complete, so it does not depend
on when a reader began; what comes later changes it no more. Seconds that are unknown, or in which
more than one in a hundred ended in an error, are left out; a block with fewer than ten others too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from midstage.contracts import sketch
from midstage.contracts.capacity import CapacitySample
from midstage.contracts.load import LoadObserved
from midstage.contracts.requests import Outcome
from midstage.contracts.sketch import Sketch

BLOCK_S: Final = 15
FORGOTTEN: Final = timedelta(seconds=60)
_LATE_S: Final = 3
_LATEST_S: Final = 45
_LEAST_SECONDS: Final = 10
_LEAST_REQUESTS: Final = 10
_MOST: Final = 10**12
_ERRORS: Final = 100
_LITTLE: Final = 5
_SWEEP_EACH: Final = 10_000
_KEPT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one shard said of a second, as light as can be."""

    revision: int
    requests: int
    errors: int
    concurrency: int | None
    hears: bool
    complete: int
    latency: str
    ttft: str


@dataclass(slots=True, kw_only=True)
class _Block:
    """A closed block; its quantiles are worked out when they are asked for, for few ask."""

    end: int
    seconds: list[tuple[_Part, ...]]
    sample: CapacitySample | None = None


@dataclass(slots=True, kw_only=True)
class _App:
    closed: int = 0  # blocks that end at or before it are closed
    seconds: dict[int, dict[tuple[int, int], _Part]] = field(default_factory=dict)
    blocks: tuple[_Block, ...] = ()


class Latencies:
    """The newest blocks of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._apps: dict[str, _App] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, fact: LoadObserved) -> None:
        """Take in a fact that is of our time."""
        number = int(fact.second.timestamp())
        app = self._apps.setdefault(fact.app, _App(closed=number - number % BLOCK_S))
        if number >= app.closed:
            parts = app.seconds.setdefault(number, {})
            held = parts.get((fact.shards, fact.shard))
            if held is None or fact.revision > held.revision:
                parts[fact.shards, fact.shard] = _part(fact)
        while number >= app.closed + BLOCK_S + _LATE_S and _closes(app, number):
            pass
        self._sweep(number)

    def of(self, app: str, now: datetime) -> tuple[CapacitySample, ...]:
        """The blocks that closed in the last minute, oldest first."""
        held = self._apps.get(app)
        if held is None:
            return ()
        since = (now - FORGOTTEN).timestamp()
        found = [_told(block) for block in held.blocks if block.end > since]
        return tuple(each for each in found if each is not None)

    def _sweep(self, number: int) -> None:
        """Now and then forget the applications that nobody speaks of any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        old = number - int(FORGOTTEN.total_seconds()) * 15
        for name in [name for name, app in self._apps.items() if app.closed < old]:
            del self._apps[name]


def _part(fact: LoadObserved) -> _Part:
    counts = [n for name, n in fact.outcomes.items() if name != Outcome.REFUSED.value]
    valid = min(counts, default=0) >= 0 and sum(counts) <= _MOST
    known = fact.in_flight is not None and fact.pending is not None
    in_flight, pending = fact.in_flight or 0, fact.pending or 0
    sane = known and min(in_flight, pending) >= 0 and in_flight + pending <= _MOST
    until = fact.complete_until
    return _Part(
        revision=fact.revision,
        requests=sum(counts) if valid else -1,
        errors=fact.outcomes.get(Outcome.ERROR.value, 0),
        concurrency=in_flight + pending if sane else None,
        hears=fact.edges != 0,
        complete=0 if until is None else int(until.timestamp()),
        latency=sketch.packed(fact.latency_ms).packed,
        ttft=sketch.packed(fact.ttft_ms).packed,
    )


def _closes(app: _App, newest: int) -> bool:
    """Whether the first open block could be closed, or can't be any more."""
    end = app.closed + BLOCK_S
    wholes = {at: _whole(parts) for at, parts in app.seconds.items()}
    complete = max(
        (min(p.complete for p in w if p.hears) for w in wholes.values() if _hears(w)), default=0
    )
    if complete < end and newest < end + _LATEST_S:
        return False
    if complete >= end:
        known = [wholes[at] for at in range(app.closed, end) if at in wholes]
        block = _Block(end=end, seconds=[parts for parts in known if _good(parts)])
        app.blocks = (*app.blocks, block)[-_KEPT:]
    app.closed = end
    for at in [at for at in app.seconds if at < end]:
        del app.seconds[at]
    if not app.seconds:
        app.closed = max(end, newest - newest % BLOCK_S)
    return True


def _whole(parts: Mapping[tuple[int, int], _Part]) -> tuple[_Part, ...]:
    """All shards' parts; empty while one is missing. Of two ways to share out, the finer one."""
    shards = max(of for of, _ in parts)
    found = {shard: part for (of, shard), part in parts.items() if of == shards}
    return tuple(found.values()) if len(found) >= shards else ()


def _hears(parts: tuple[_Part, ...]) -> bool:
    return any(part.hears for part in parts)


def _good(parts: tuple[_Part, ...]) -> bool:
    """Whether the second is known, and its latencies are those of answers."""
    if not _hears(parts) or min(part.requests for part in parts) < 0:
        return False
    if any(part.hears and part.concurrency is None for part in parts):
        return False
    return sum(p.errors for p in parts) * _ERRORS <= sum(p.requests for p in parts)


def _told(block: _Block) -> CapacitySample | None:
    """What a block says; worked out once."""
    if block.seconds:
        block.sample = _sample(block.seconds, block.end)
        block.seconds = []
    return block.sample


def _sample(seconds: list[tuple[_Part, ...]], end: int) -> CapacitySample | None:
    parts = [part for second in seconds for part in second]
    requests = sum(part.requests for part in parts)
    concurrency = [_concurrency(second) for second in seconds]
    if len(seconds) < _LEAST_SECONDS or requests < _LEAST_REQUESTS:
        return None
    if _drains(concurrency):
        return None
    return CapacitySample(
        until=datetime.fromtimestamp(end, UTC),
        seconds=len(seconds),
        requests=requests,
        concurrency=sum(concurrency) / len(seconds),
        p99_ms=_p99([part.latency for part in parts]),
        ttft_p99_ms=_p99([part.ttft for part in parts]),
    )


def _concurrency(parts: tuple[_Part, ...]) -> int:
    return sum(part.concurrency or 0 for part in parts if part.hears)


def _drains(concurrency: list[int]) -> bool:
    """Whether a queue came to its end: what was slow then was so by a load of before."""
    third = len(concurrency) // 3
    first, last = sum(concurrency[:third]) / third, sum(concurrency[-third:]) / third
    return first > 1.5 * last + _LITTLE


def _p99(packed: list[str]) -> float | None:
    whole = sketch.merged(*(Sketch(packed=each) for each in packed if each))
    return sketch.quantile(whole, 0.99) if sketch.count(whole) >= _LEAST_REQUESTS else None
