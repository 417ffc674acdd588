"""Cases of headers and problem documents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.limits.headers import (
    Cause,
    Policy,
    Problem,
    State,
    old_headers,
    problem,
    rate_limit,
    rate_limit_policy,
    retry_after,
)
from midstage.throttle.conformance.shapes import CaseError, Number, compared, ns

_SHORT_NS: Final = (1, 1_000_000, 999_999_999)
"""Windows of less than a second."""


class _Said(Shape, frozen=True, kw_only=True):
    """A policy and its state, by long names or by the draft's parameters."""

    policy: str = ""
    name: str = "default"
    quota: int | None = None
    limit: int | None = None
    q: int | None = None
    window_s: Number | None = None
    w: Number | None = None
    qu: str = "requests"
    remaining: int | None = None
    r: int | None = None
    reset_s: Number | None = None
    t: Number | None = None
    pk: str | None = None


class _Base(_Said, frozen=True, kw_only=True):
    policies: Sequence[_Said | str] = ()
    violated: Sequence[str] = ()


class _Case(Shape, frozen=True, kw_only=True):
    title: str = ""
    base: _Base = _Base()
    expect: Mapping[str, object]


_IN_DIGITS: Final = frozenset(
    {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}
)
_CASE: Final = msgspec.json.Decoder(_Case)


def judged(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """The headers of the base, and the document of the cause that a case names."""
    del configs
    case = _CASE.decode(raw)
    found = dict(_found(case))
    expected = {_key(name): value for name, value in case.expect.items()}
    for name in expected.keys() & _IN_DIGITS:
        expected[name] = str(expected[name])
    wanted_min = {name: value for name, value in expected.items() if name.endswith("_min")}
    differing = list(
        compared({n: value for n, value in expected.items() if n not in wanted_min}, found)
    )
    for name, least in wanted_min.items():
        value = found.get(name.removesuffix("_min"))
        if not isinstance(least, int | float) or value is None:
            raise CaseError(f"{name} is an expectation that this judge does not know")
        if float(str(value)) < least:
            differing.append(Differing(field=name, expected=least, found=value))
    return differing


def _found(case: _Case) -> Iterator[tuple[str, object]]:
    named = [each for each in case.base.policies if isinstance(each, str)]
    said = [each for each in case.base.policies if isinstance(each, _Said)] or [case.base]
    policies, states = [_policy(each) for each in said], [_state(each) for each in said]
    yield "ratelimit", rate_limit(states)
    yield "ratelimit-policy", rate_limit_policy(policies)
    wait_ns = max(state.reset_ns or 0 for state in states)
    yield "retry-after", retry_after(wait_ns)
    yield from old_headers(policies[0], states[0])
    yield "w", _least_window()
    document = _document(case, [*case.base.violated, *named])
    if document is not None:
        yield "status", document.status
        yield "type", document.type
        yield "title", document.title
        yield "violated-policies", list(document.violated)


def _policy(said: _Said) -> Policy:
    window = said.w if said.window_s is None else said.window_s
    quotas = (said.quota, said.limit, said.q)
    return Policy(
        name=said.policy or said.name,
        quota=next((quota for quota in quotas if quota is not None), 0),
        window_ns=None if window is None else ns(window),
        unit=said.qu,
        partition=None if said.pk is None else said.pk.encode(),
    )


def _state(said: _Said) -> State:
    reset_s = said.t if said.reset_s is None else said.reset_s
    return State(
        name=said.policy or said.name,
        remaining=(said.r if said.remaining is None else said.remaining) or 0,
        reset_ns=None if reset_s is None else ns(reset_s),
        partition=None if said.pk is None else said.pk.encode(),
    )


def _least_window() -> int:
    """The least ``w`` that is advertised, of windows around a second."""
    texts = [
        rate_limit_policy([Policy(name="p", quota=1, window_ns=window)])
        for window in (*_SHORT_NS, 1_000_000_000, 1_000_000_001)
    ]
    return min(int(text.partition(";w=")[2]) for text in texts if ";w=" in text)


def _document(case: _Case, violated: Sequence[str]) -> Problem | None:
    """The cause is the one whose fragment the expected type or the title names."""
    where = f"{case.expect.get('type', '')} {case.title}"
    for cause in Cause:
        if cause.value[0] in where:
            return problem(cause, violated)
    return None


def _key(name: str) -> str:
    return name.lower().replace("_policies", "-policies")
