"""Cases of the circuit breaker: outcomes of calls, and the state behind them.

``F`` is a call that failed, ``S`` one that succeeded; one that may not be made is ``rejected``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.limits.circuit import Breaker, BreakerTerms, By
from midstage.throttle.conformance.shapes import CaseError, Number, compared, ms_ns, ns

_FAILED: Final = {"F": True, "S": False}
_NAMES: Final = {
    "type": ("type",),
    "window": ("window", "window_s", "window_size"),
    "min_calls": ("min_calls", "minimum_calls"),
    "failure_rate": ("failure_rate", "failure_rate_threshold"),
    "probes": ("half_open_calls", "half_open", "half_open_max", "permitted_calls", "probes"),
    "open_s": ("open_s", "wait_s", "open_wait_s", "wait_open_s", "wait_duration_s"),
}
"""What the base says, under the names that it goes by in resilience4j and its users."""


class _Step(Shape, frozen=True, kw_only=True):
    at: Number | None = None
    at_s: Number | None = None
    at_ms: Number | None = None
    wait_s: Number = 0
    then_sleep_s: Number = 0
    then_sleep_ms: Number = 0
    outcomes: str = ""
    state: str | None = None
    allowed: int | None = None
    rejected: int | None = None
    allow: bool | None = None


class _Case(Shape, frozen=True, kw_only=True):
    base: Mapping[str, Number | str]
    steps: Sequence[_Step]


_CASE: Final = msgspec.json.Decoder(_Case)


def judged(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """Calls that end at once, one after the other."""
    del configs
    return list(_judged(_CASE.decode(raw)))


def _judged(case: _Case) -> Iterator[Differing]:
    breaker, now_ns = Breaker(_terms(case.base)), 0
    for number, step in enumerate(case.steps, 1):
        now_ns = _at(step, now_ns) + ns(step.wait_s)
        rejected = sum(not _called(breaker, outcome, now_ns) for outcome in step.outcomes)
        found = {
            "state": breaker.state(now_ns).value,
            "rejected": rejected,
            "allowed": len(step.outcomes) - rejected,
        }
        if step.allow is not None:
            found["allow"] = breaker.allows(now_ns) is not None
        names = ("state", "rejected", "allowed", "allow")
        wanted = {name: value for name in names if (value := getattr(step, name)) is not None}
        yield from compared(wanted, found, f"step {number}: ")
        now_ns += ns(step.then_sleep_s) + ms_ns(step.then_sleep_ms)


def _called(breaker: Breaker, outcome: str, now_ns: int) -> bool:
    """Whether the call could be made."""
    if outcome not in _FAILED:
        raise CaseError(f"outcome {outcome!r} is neither F nor S")
    ticket = breaker.allows(now_ns)
    if ticket is None:
        return False
    breaker.ended(ticket, now_ns, failed=_FAILED[outcome])
    return True


def _at(step: _Step, now_ns: int) -> int:
    if step.at_ms is not None:
        return ms_ns(step.at_ms)
    at = step.at if step.at_s is None else step.at_s
    return now_ns if at is None else ns(at)


def _terms(base: Mapping[str, Number | str]) -> BreakerTerms:
    said: dict[str, Number | str] = {}
    for name, others in _NAMES.items():
        given = [other for other in others if other in base]
        if given:
            said[name] = base[given[0]]
    unknown = set(base) - {other for others in _NAMES.values() for other in others}
    if unknown:
        raise CaseError(f"{', '.join(sorted(unknown))} of a breaker's base is not known")
    terms = BreakerTerms()
    by = By.TIME if str(said.get("type", "")).upper().startswith("TIME") else By.COUNT
    window = _number(said, "window", terms.window)
    return BreakerTerms(
        by=by,
        window=ns(window) if by is By.TIME else int(window),
        least_calls=int(_number(said, "min_calls", terms.least_calls)),
        failure_percent=_number(said, "failure_rate", terms.failure_percent),
        probes=int(_number(said, "probes", terms.probes)),
        open_ns=ns(_number(said, "open_s", terms.open_ns // 10**9)),
    )


def _number(said: Mapping[str, Number | str], name: str, default: Number) -> Number:
    value = said.get(name, default)
    if isinstance(value, str):
        raise CaseError(f"{name} {value!r} is no number")
    return value
