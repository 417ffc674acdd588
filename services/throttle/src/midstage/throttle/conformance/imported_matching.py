"""Cases of envoyproxy/ratelimit: its rules, and which of them matches a descriptor."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from midstage.chassis.cases import Differing, Shape
from midstage.contracts.errors import RefusedError
from midstage.throttle.conformance.shapes import CaseError, compared
from midstage.throttle.decide.imported.matching import matched
from midstage.throttle.decide.imported.reading import domains_of
from midstage.throttle.model.imported import Descriptor, Entry, Node, Override, Rule, Unit

CarriedCase = tuple[int, Unit]
"""A limit that a request carries: so many in such a time."""
LimitCase = CarriedCase | str | None
NO_RULES: Final = msgspec.Raw()


class _Asked(Shape, frozen=True, kw_only=True):
    domain: str
    entries: Sequence[Entry]
    override: CarriedCase | None = None


class _Matched(Shape, frozen=True, kw_only=True):
    limit: LimitCase | msgspec.UnsetType = msgspec.UNSET
    metric: str | None = None
    shadow_mode: bool | None = None
    quota_mode: bool | None = None
    name: str | None = None


class _MatchCase(Shape, frozen=True, kw_only=True):
    config_ref: str = ""
    config: msgspec.Raw = NO_RULES
    request: _Asked
    expect: _Matched


_MATCH: Final = msgspec.json.Decoder(_MatchCase)


def matching(raw: msgspec.Raw, configs: Mapping[str, msgspec.Raw]) -> Sequence[Differing]:
    """One descriptor looked up."""
    case = _MATCH.decode(raw)
    _, rules = domains(case.config_ref, case.config, configs)
    override = None if case.request.override is None else carried(case.request.override)
    descriptor = Descriptor(entries=tuple(case.request.entries), override=override)
    match = matched(rules, case.request.domain, descriptor)
    rule = None if match is None else match.rule
    found = {
        "limit": told(rule),
        "metric": match and match.metric,
        "shadow_mode": rule and rule.shadow,
        "quota_mode": rule and rule.quota,
        "name": rule and rule.name,
    }
    return list(compared(expectations(case.expect), found))


def expectations(said: Shape) -> Mapping[str, object]:
    """What a case says; that there is no limit is said too."""
    return {
        name: value
        for name, value in msgspec.structs.asdict(said).items()
        if value is not msgspec.UNSET and (value is not None or name == "limit")
    }


def domains(
    ref: str,
    config: msgspec.Raw,
    configs: Mapping[str, msgspec.Raw],
    *,
    merge: bool = False,
) -> tuple[str, Mapping[str, Node]]:
    """The trees of a case's rules, and the domain that its requests are for."""
    raw = config if bytes(config) else configs.get(ref)
    if raw is None:
        raise CaseError(f"there is no config {ref!r}")
    content: object = msgspec.json.decode(raw)
    try:
        found = domains_of([(ref or "config", content)], merge=merge)
    except RefusedError as e:
        raise CaseError(str(e)) from e
    return next(iter(found), ""), found


def told(rule: Rule | None) -> object:
    """A rule's limit as cases say it."""
    if rule is None:
        return None
    return "unlimited" if rule.unit is None else (rule.requests, rule.unit)


def carried(override: CarriedCase) -> Override:
    """The limit that a request carries."""
    return Override(requests=override[0], unit=override[1])
