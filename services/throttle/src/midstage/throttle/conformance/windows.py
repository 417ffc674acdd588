"""Cases of windows: moving, from the first hit, the weighted two, and what passes at an edge."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.throttle.conformance.shapes import Number, compared, ns
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow, SlidingCounter
from midstage.throttle.decide.meters.window import FirstHitWindow, FixedWindow


class _Base(Shape, frozen=True, kw_only=True):
    limit: int
    window_s: Number
    prev: int = 0
    cur: int = 0
    elapsed_s: Number = 0
    cost: int = 1
    hits: Sequence[tuple[Number, int]] | None = None


class _Step(Shape, frozen=True, kw_only=True):
    at: Number = 0
    key: str = ""
    n: int = 1
    cost: int = 1
    allow: bool | None = None
    remaining: int | None = None


class _Case(Shape, frozen=True, kw_only=True):
    base: _Base
    steps: Sequence[_Step] = ()
    expect: Mapping[str, object] = {}


_CASE: Final = msgspec.json.Decoder(_Case)
_Maker = Callable[[_Base, int], Meter]


def moving(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """A log of hits."""
    del configs
    return list(_steps(_CASE.decode(raw), _log))


def first_hit(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """A window that begins with its first hit."""
    del configs
    return list(_steps(_CASE.decode(raw), _from_first_hit))


def sliding(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """Two counts, and how far the second window is; or steps from nothing."""
    del configs
    case = _CASE.decode(raw)
    if case.steps:
        return list(_steps(case, _counter))
    base = case.base
    now_ns = ns(base.window_s) + ns(base.elapsed_s)
    meter = SlidingCounter(limit=base.limit, period_ns=ns(base.window_s), now_ns=now_ns)
    meter.recount(previous=base.prev, current=base.cur)
    weighted, remaining = meter.weighted(now_ns), meter.remaining(now_ns)
    allow = meter.take(base.cost, now_ns)
    found = {"weighted": weighted, "allow": allow, "remaining": remaining}
    return list(compared(case.expect, found))


def edges(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """A whole limit just before the edge of a window and just behind it, to each algorithm."""
    del configs
    case = _CASE.decode(raw)
    base = case.base
    before, after = 0.9 * base.window_s, 1.1 * base.window_s
    hits = base.hits or [(before, base.limit), (after, base.limit)]
    makers = {"fixed": _fixed, "log": _log, "counter_aligned": _counter}
    found = {name: _admitted(make(base, 0), hits) for name, make in makers.items()}
    return list(compared(case.expect, found))


def _admitted(meter: Meter, hits: Sequence[tuple[Number, int]]) -> int:
    return sum(meter.take(1, ns(round(at, 9))) for at, count in hits for _ in range(count))


def _steps(case: _Case, make: _Maker) -> Iterator[Differing]:
    meters: dict[str, Meter] = {}
    for number, step in enumerate(case.steps, 1):
        now_ns = ns(step.at)
        meter = meters.setdefault(step.key, make(case.base, now_ns))
        passed = [meter.take(step.cost, now_ns) for _ in range(step.n)]
        found = {"allow": all(passed), "remaining": meter.remaining(now_ns)}
        wanted = {"allow": step.allow, "remaining": step.remaining}
        expected = {name: value for name, value in wanted.items() if value is not None}
        yield from compared(expected, found, f"step {number}: ")


def _fixed(base: _Base, now_ns: int) -> Meter:
    return FixedWindow(limit=base.limit, period_ns=ns(base.window_s), now_ns=now_ns)


def _from_first_hit(base: _Base, now_ns: int) -> Meter:
    return FirstHitWindow(limit=base.limit, period_ns=ns(base.window_s), now_ns=now_ns)


def _log(base: _Base, now_ns: int) -> Meter:
    return MovingWindow(limit=base.limit, period_ns=ns(base.window_s), now_ns=now_ns)


def _counter(base: _Base, now_ns: int) -> Meter:
    return SlidingCounter(limit=base.limit, period_ns=ns(base.window_s), now_ns=now_ns)
