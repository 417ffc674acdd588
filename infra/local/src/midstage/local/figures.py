"""What only the platform knows of one replay: the difference between two looks at it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from midstage.local import loopback
from midstage.local.lifecycle import Life
from midstage.local.replay.customers import CustomerLimit
from midstage.local.replay.findings import PlatformFacts

_WITHIN_S = 2.0
_PASSED = re.compile(r"^midstage_throttle_failure_mode_allowed_total (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the platform stood at one moment; running counts since its start."""

    restarts: Mapping[str, int]
    failure_mode_allowed: int
    late_open: int


def look(lives: Mapping[str, Life], *, envoy_admin: str, throttle: str) -> Look:
    """Look at the supervisor's table, and at Envoy's and throttle's counters."""
    return Look(
        restarts={name: life.restarts for name, life in lives.items()},
        failure_mode_allowed=_failure_mode_allowed(envoy_admin),
        late_open=_late_open(throttle),
    )


def between(
    before: Look, after: Look, *, limits: Sequence[CustomerLimit], peak_rss_mb: float
) -> PlatformFacts:
    """What happened between two looks; what was restarted counts from zero again."""
    restarts = {
        name: count - before.restarts.get(name, 0) for name, count in after.restarts.items()
    }
    return PlatformFacts(
        limits=limits,
        restarts={name: count for name, count in restarts.items() if count},
        throttle_restarts=restarts.get("throttle", 0),
        failure_mode_allowed=_grown(before.failure_mode_allowed, after.failure_mode_allowed),
        late_open=_grown(before.late_open, after.late_open),
        peak_rss_mb=round(peak_rss_mb, 1),
    )


def _grown(before: int, after: int) -> int:
    return after - before if after >= before else after


def _late_open(throttle: str) -> int:
    """How many requests throttle let pass without counting; 0 if it is away."""
    try:
        answer = loopback.get(f"{throttle}/metrics", timeout=_WITHIN_S)
    except httpx.HTTPError:
        return 0
    found = _PASSED.search(answer.text)
    return int(float(found.group(1))) if found else 0


def _failure_mode_allowed(envoy_admin: str) -> int:
    """How many requests Envoy let pass because throttle could not be asked; 0 if it is away."""
    options = {"filter": r"failure_mode_allowed$", "format": "json"}
    try:
        answer = loopback.get(f"{envoy_admin}/stats", params=options, timeout=_WITHIN_S)
    except httpx.HTTPError:
        return 0
    return sum(int(stat.get("value", 0)) for stat in answer.json().get("stats", []))
