"""Cases of Gubernator's buckets and of GCRA, on a virtual clock."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.throttle.conformance.shapes import CaseError, Number, compared, ms_ns
from midstage.throttle.decide.charging import admitted
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.leaky import LeakyBucket
from midstage.throttle.decide.meters.window import RefilledBucket
from midstage.throttle.model.account import Account, PlainAccount, Settlement

_BEGIN_NS: Final = 1_700_000_000_000_000_000


class _Bucket(Shape, frozen=True, kw_only=True):
    algorithm: str = "TOKEN"
    limit: int = 0
    duration_ms: Number = 0
    burst: int = 0
    drain_over_limit: bool = False
    reset_remaining: bool = False
    behavior: str | Sequence[str] = ()

    @property
    def drains(self) -> bool:
        """Whether what asks for too much empties the bucket."""
        return self.drain_over_limit or "DRAIN_OVER_LIMIT" in self.behavior

    @property
    def resets(self) -> bool:
        """Whether the bucket is to be as new."""
        return self.reset_remaining or "RESET_REMAINING" in self.behavior


class _BucketStep(Shape, frozen=True, kw_only=True):
    hits: int = 0
    status: str | None = None
    remaining: int | None = None
    then_sleep_ms: Number = 0
    algorithm: str | None = None
    limit: int | None = None
    duration_ms: Number | None = None
    burst: int | None = None
    drain_over_limit: bool | None = None
    reset_remaining: bool | None = None
    behavior: str | Sequence[str] | None = None


class _BucketCase(Shape, frozen=True, kw_only=True):
    base: _Bucket
    steps: Sequence[_BucketStep]


class _Gcra(Shape, frozen=True, kw_only=True):
    emission_interval_ms: Number
    limit: int


class _GcraStep(Shape, frozen=True, kw_only=True):
    at_ms: Number = 0
    quantity: int = 1
    remaining: int | None = None
    reset_after_ms: Number | None = None
    retry_after_ms: Number | msgspec.UnsetType | None = msgspec.UNSET
    limited: bool | None = None


class _GcraCase(Shape, frozen=True, kw_only=True):
    base: _Gcra
    steps: Sequence[_GcraStep]


_BUCKET: Final = msgspec.json.Decoder(_BucketCase)
_GCRA: Final = msgspec.json.Decoder(_GcraCase)


def bucket(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """A bucket asked step by step; a step may change its terms."""
    del configs
    case = _BUCKET.decode(raw)
    return list(_bucket(case))


def _bucket(case: _BucketCase) -> Iterator[Differing]:
    terms, now_ns = case.base, _BEGIN_NS
    judged: _Token | _Leaky = _made(terms, now_ns)
    for number, step in enumerate(case.steps, 1):
        changed = {
            name: value
            for name, value in msgspec.structs.asdict(step).items()
            if name in terms.__struct_fields__ and value is not None
        }
        now = msgspec.structs.replace(case.base, **changed)
        if now.algorithm != terms.algorithm:
            judged = _made(now, now_ns)
        terms = now
        status, remaining = judged.asked(step.hits, terms, now_ns)
        wanted = {"status": step.status, "remaining": step.remaining}
        expected = {name: value for name, value in wanted.items() if value is not None}
        found = {"status": status, "remaining": remaining}
        yield from compared(expected, found, f"step {number}: ")
        now_ns += ms_ns(step.then_sleep_ms)


class _Token:
    """Gubernator's token bucket: who was told that it is empty is told so again."""

    def __init__(self, terms: _Bucket, now_ns: int) -> None:
        self.meter = RefilledBucket(
            limit=terms.limit, period_ns=max(1, ms_ns(terms.duration_ms)), now_ns=now_ns
        )
        self._empty_since: int | None = None

    def asked(self, hits: int, terms: _Bucket, now_ns: int) -> tuple[str, int]:
        meter = self.meter
        meter.follow(limit=terms.limit, period_ns=max(1, ms_ns(terms.duration_ms)), now_ns=now_ns)
        if terms.resets:
            meter.credit(meter.limit - meter.remaining(now_ns), now_ns)
            return "UNDER_LIMIT", meter.remaining(now_ns)
        left = meter.remaining(now_ns)
        if hits < 0:
            meter.credit(-hits, now_ns)
            return "UNDER_LIMIT", meter.remaining(now_ns)
        if not hits:
            told = left <= 0 and self._empty_since == meter.start_ns
            return "OVER_LIMIT" if told else "UNDER_LIMIT", left
        account = PlainAccount("bucket", meter, drain=terms.drains)
        refused = admitted((account,), (hits,), now_ns)
        if refused is not None and left <= 0:
            self._empty_since = meter.start_ns
        return _status(refused), meter.remaining(now_ns)


class _Leaky:
    """Gubernator's leaky bucket."""

    def __init__(self, terms: _Bucket, now_ns: int) -> None:
        self.meter = LeakyBucket(
            limit=terms.limit,
            period_ns=max(1, ms_ns(terms.duration_ms)),
            burst=terms.burst or terms.limit,
            now_ns=now_ns,
        )

    def asked(self, hits: int, terms: _Bucket, now_ns: int) -> tuple[str, int]:
        meter = self.meter
        meter.follow_as_gubernator(
            limit=terms.limit,
            period_ns=max(1, ms_ns(terms.duration_ms)),
            burst=terms.burst or terms.limit,
            now_ns=now_ns,
        )
        if terms.resets:
            meter.empty()
        if hits < 0:
            meter.settle(Settlement(reserved=-hits, actual=0, taken_ns=now_ns, now_ns=now_ns))
            return "UNDER_LIMIT", meter.remaining(now_ns)
        account = PlainAccount("bucket", meter, drain=terms.drains)
        refused = admitted((account,), (hits,), now_ns)
        return _status(refused), meter.remaining(now_ns)


def _made(terms: _Bucket, now_ns: int) -> "_Token | _Leaky":
    kind = terms.algorithm.upper().removesuffix("_BUCKET")
    if kind == "TOKEN":
        return _Token(terms, now_ns)
    if kind == "LEAKY":
        return _Leaky(terms, now_ns)
    raise CaseError(f"algorithm {terms.algorithm!r} is not known")


def _status(refused: Account | None) -> str:
    return "UNDER_LIMIT" if refused is None else "OVER_LIMIT"


def gcra(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """An emission interval and a burst; what passes, also 0, has no time to wait for."""
    del configs
    case = _GCRA.decode(raw)
    emission = Fraction(str(case.base.emission_interval_ms)) * 1_000_000
    meter = Gcra(
        units=emission.denominator, period_ns=emission.numerator, burst=case.base.limit, now_ns=0
    )
    return [
        differing
        for number, step in enumerate(case.steps, 1)
        for differing in _gcra_step(meter, step, f"step {number}: ")
    ]


def _gcra_step(meter: Gcra, step: _GcraStep, where: str) -> Iterator[Differing]:
    now_ns = ms_ns(step.at_ms)
    passed = meter.take(step.quantity, now_ns)
    wait_ns = meter.wait_ns(step.quantity, now_ns)
    retry = None if passed or not wait_ns else wait_ns / 1_000_000
    found = {
        "limited": not passed,
        "remaining": max(0, meter.remaining(now_ns)),
        "reset_after_ms": meter.reset_ns(now_ns) / 1_000_000,
        "retry_after_ms": retry,
    }
    wanted = {
        "limited": step.limited,
        "remaining": step.remaining,
        "reset_after_ms": step.reset_after_ms,
    }
    expected: dict[str, object] = {n: value for n, value in wanted.items() if value is not None}
    if step.retry_after_ms is not msgspec.UNSET:
        expected["retry_after_ms"] = step.retry_after_ms
    yield from compared(expected, found, where)
