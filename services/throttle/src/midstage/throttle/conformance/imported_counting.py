"""Cases of envoyproxy/ratelimit: how the windows of its rules count, and what is told of them."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.contracts.errors import RefusedError
from midstage.limits.headers import Policy, State, old_headers
from midstage.throttle.conformance.imported_matching import (
    NO_RULES,
    CarriedCase,
    LimitCase,
    carried,
    domains,
    expectations,
    told,
)
from midstage.throttle.conformance.shapes import CaseError, Number, compared
from midstage.throttle.decide.imported.counting import Counters, Options
from midstage.throttle.decide.imported.matching import matched
from midstage.throttle.model.imported import (
    UNLIMITED,
    Answer,
    Descriptor,
    Entry,
    Request,
    Status,
)


class _Options(Shape, frozen=True, kw_only=True):
    stop_increment_when_over: bool = False
    local_cache: bool = False
    global_shadow: bool = False
    global_quota: bool = False
    headers: bool = False
    near_limit_ratio: Number | None = None
    merge: bool = False


class _Status(Shape, frozen=True, kw_only=True):
    code: str | None = None
    remaining: int | None = None
    reset_s: Number | None = None
    limit: LimitCase | msgspec.UnsetType = msgspec.UNSET


class _Expected(Shape, frozen=True, kw_only=True):
    overall: str | None = None
    statuses: Sequence[_Status] | None = None
    headers: Mapping[str, str] | None = None
    error_contains: str | None = None


class _Described(Shape, frozen=True, kw_only=True):
    entries: Sequence[Entry]
    hits: int | None = None
    override: CarriedCase | None = None
    is_negative_hits: bool = False


class _Step(Shape, frozen=True, kw_only=True):
    at: Number = 0
    domain: str | None = None
    descriptors: Sequence[Sequence[Entry] | _Described]
    hits: int = 0
    descriptor_hits: Sequence[int | None] | None = None
    overrides: Sequence[CarriedCase | None] | None = None
    expect: _Expected = _Expected()
    expect_stats: Mapping[str, int] = {}


class _WindowCase(Shape, frozen=True, kw_only=True):
    config_ref: str = ""
    config: msgspec.Raw = NO_RULES
    options: _Options = _Options()
    steps: Sequence[_Step]
    expect_headers: Mapping[str, str] | None = None
    expect_stats: Mapping[str, int] = {}


_WINDOW: Final = msgspec.json.Decoder(_WindowCase)


def counting(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """Requests one after the other, and what is told of each."""
    return list(_counting(_WINDOW.decode(raw), configs))


def _counting(case: _WindowCase, configs: Mapping[str, msgspec.Raw]) -> Iterator[Differing]:
    domain, rules = domains(case.config_ref, case.config, configs, merge=case.options.merge)
    counters = Counters(options=_options(case.options))
    answer: Answer | None = None
    metric = ""
    for number, step in enumerate(case.steps, 1):
        where = f"step {number}: "
        request = _request(step, domain)
        try:
            answer = counters.answer(rules, request, int(step.at))
        except RefusedError as e:
            if step.expect.error_contains is None or step.expect.error_contains not in str(e):
                yield Differing(
                    field=f"{where}error", expected=step.expect.error_contains, found=str(e)
                )
            continue
        for descriptor in request.descriptors:
            match = matched(rules, request.domain, descriptor)
            metric = metric if match is None else match.metric
        yield from _step_differs(step.expect, answer, where)
        yield from compared(step.expect_stats, _stats(counters, metric), where)
    yield from compared(case.expect_stats, _stats(counters, metric))
    if case.expect_headers is not None and answer is not None:
        yield from _headers_differ(case.expect_headers, answer, "")


def _step_differs(expected: _Expected, answer: Answer, where: str) -> Iterator[Differing]:
    if expected.error_contains is not None:
        yield Differing(field=f"{where}error", expected=expected.error_contains, found=None)
    if expected.overall is not None:
        yield from compared({"overall": expected.overall}, {"overall": _code(answer.over)}, where)
    if expected.statuses is not None:
        if len(expected.statuses) != len(answer.statuses):
            yield Differing(
                field=f"{where}statuses",
                expected=len(expected.statuses),
                found=len(answer.statuses),
            )
        for number, (wanted, status) in enumerate(
            zip(expected.statuses, answer.statuses, strict=False)
        ):
            yield from _status_differs(wanted, status, f"{where}status {number}: ")
    if expected.headers is not None:
        yield from _headers_differ(expected.headers, answer, where)


def _status_differs(wanted: _Status, status: Status, where: str) -> Iterator[Differing]:
    limit = told(status.limit)
    if limit is None and status.remaining == UNLIMITED and wanted.limit == "unlimited":
        limit = "unlimited"
    found = {
        "code": _code(status.over),
        "remaining": status.remaining,
        "reset_s": status.reset_s,
        "limit": limit,
    }
    yield from compared(expectations(wanted), found, where)


def _headers_differ(expected: Mapping[str, str], answer: Answer, where: str) -> Iterator[Differing]:
    found: dict[str, object] = {name.lower(): None for name in expected}
    least = answer.least
    if least is not None and least.limit is not None:
        policy = Policy(name=least.limit.name, quota=least.limit.requests)
        reset_ns = (least.reset_s or 0) * 1_000_000_000
        state = State(name=least.limit.name, remaining=least.remaining, reset_ns=reset_ns)
        for prefix in ("RateLimit", "X-RateLimit"):
            found |= {
                name.lower(): text for name, text in old_headers(policy, state, prefix=prefix)
            }
    yield from compared({name.lower(): text for name, text in expected.items()}, found, where)


def _request(step: _Step, domain: str) -> Request:
    count = len(step.descriptors)
    hits = step.descriptor_hits or [None] * count
    overrides = step.overrides or [None] * count
    if len(hits) != count or len(overrides) != count:
        raise CaseError("descriptor_hits and overrides need a value for each descriptor")
    return Request(
        domain=domain if step.domain is None else step.domain,
        descriptors=tuple(
            _descriptor(each, own, override)
            for each, own, override in zip(step.descriptors, hits, overrides, strict=True)
        ),
        hits=step.hits,
    )


def _descriptor(
    said: Sequence[Entry] | _Described, hits: int | None, override: CarriedCase | None
) -> Descriptor:
    if isinstance(said, _Described):
        hits = said.hits if hits is None else hits
        if said.is_negative_hits:
            hits = -(1 if hits is None else hits)
        override = said.override if override is None else override
        said = said.entries
    return Descriptor(
        entries=tuple(said),
        hits=hits,
        override=None if override is None else carried(override),
    )


def _options(said: _Options) -> Options:
    ratio = said.near_limit_ratio
    return Options(
        stop_when_over=said.stop_increment_when_over,
        local_cache=said.local_cache,
        global_shadow=said.global_shadow,
        global_quota=said.global_quota,
        near_limit=Fraction(4, 5) if ratio is None else Fraction(str(ratio)),
    )


def _stats(counters: Counters, metric: str) -> Mapping[str, object]:
    stats = counters.stats[metric]
    return {
        "key": metric,
        "total_hits": stats.total_hits,
        "over_limit": stats.over_limit,
        "near_limit": stats.near_limit,
        "within_limit": stats.within_limit,
        "over_limit_with_local_cache": stats.over_limit_with_local_cache,
        "shadow_mode": stats.shadow_mode,
        "global_shadow_mode": counters.global_shadow_mode,
    }


def _code(over: bool) -> str:  # noqa: FBT001  a finding, not a flag
    return "OVER_LIMIT" if over else "OK"
