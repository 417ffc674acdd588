"""What an answer says of limits, in headers and problem documents; only text, no transport.

``RateLimit`` and ``RateLimit-Policy`` by draft-ietf-httpapi-ratelimit-headers-11 (structured
fields), ``x-ratelimit-*`` for old clients, ``Retry-After`` (RFC 9110). Seconds are whole ones and
rounded up, so that nobody is told to come back too early.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_NS_PER_S: Final = 1_000_000_000
_PROBLEM_TYPES: Final = "https://iana.org/assignments/http-problem-types#"
_REQUESTS: Final = "requests"
_REGISTERED: Final = {"bytes": "content-bytes", "concurrency": "concurrent-requests"}
"""Our units that the draft has in its registry by another name; others go by their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A limit: ``quota`` units in ``window_ns``, for each ``partition`` where there is one."""

    name: str
    quota: int
    window_ns: int | None = None
    unit: str = _REQUESTS
    partition: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is left of a policy, and in how many nanoseconds there is more (None: not said)."""

    name: str
    remaining: int
    reset_ns: int | None = None
    partition: bytes | None = None


class Cause(Enum):
    """Why a request is not served: the fragment of its problem type, the status, the title."""

    QUOTA_EXCEEDED = (
        "quota-exceeded",
        429,
        "Request cannot be satisfied as assigned quota has been exceeded",
    )
    REDUCED_CAPACITY = (
        "temporary-reduced-capacity",
        503,
        "Request cannot be satisfied due to temporary server capacity constraints",
    )
    ABNORMAL_USAGE = (
        "abnormal-usage-detected",
        429,
        "Request not satisfied due to detection of abnormal request pattern",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem document (RFC 9457); ``violated`` names the policies."""

    type: str
    status: int
    title: str
    violated: tuple[str, ...] = ()


def seconds_up(time_ns: int) -> int:
    """Whole seconds, never less than ``time_ns``, never below 0."""
    return max(0, -(-time_ns // _NS_PER_S))


def rate_limit_policy(policies: Iterable[Policy]) -> str:
    """``"burst";q=100;w=60``; a window of less than a second is not advertised."""
    return ", ".join(_policy(policy) for policy in policies)


def rate_limit(states: Iterable[State]) -> str:
    """``"default";r=50;t=30``; what is left is never below 0, debt or not."""
    return ", ".join(_state(state) for state in states)


def state_begins(name: str) -> str:
    """The part of ``rate_limit`` that is always the same for a name; what is left follows it."""
    return f"{_string(name)};r="


def retry_after(wait_ns: int, *, at_least_s: int = 1) -> str:
    """Whole seconds, at least one: 0 asks for the same refusal again."""
    return str(max(at_least_s, seconds_up(wait_ns)))


def old_headers(
    policy: Policy, state: State, *, prefix: str = "x-ratelimit"
) -> Sequence[tuple[str, str]]:
    """``-limit``, ``-remaining`` and ``-reset``, in units and seconds."""
    return (
        (f"{prefix}-limit", str(policy.quota)),
        (f"{prefix}-remaining", str(max(0, state.remaining))),
        (f"{prefix}-reset", str(seconds_up(state.reset_ns or 0))),
    )


def problem(cause: Cause, violated: Iterable[str] = ()) -> Problem:
    """The document of a cause."""
    fragment, status, title = cause.value
    return Problem(
        type=_PROBLEM_TYPES + fragment, status=status, title=title, violated=tuple(violated)
    )


def _policy(policy: Policy) -> str:
    text = f"{_string(policy.name)};q={policy.quota}"
    if policy.unit != _REQUESTS:
        text += f";qu={_string(_REGISTERED.get(policy.unit, policy.unit))}"
    if policy.window_ns is not None and policy.window_ns >= _NS_PER_S:
        text += f";w={seconds_up(policy.window_ns)}"
    return text + _partition(policy.partition)


def _state(state: State) -> str:
    text = f"{state_begins(state.name)}{max(0, state.remaining)}"
    if state.reset_ns is not None:
        text += f";t={seconds_up(state.reset_ns)}"
    return text + _partition(state.partition)


def _partition(partition: bytes | None) -> str:
    return "" if partition is None else f";pk=:{base64.b64encode(partition).decode()}:"


def _string(text: str) -> str:
    """A string of RFC 9651; what such a string can't hold becomes ``?``."""
    kept = "".join(each if " " <= each <= "~" else "?" for each in text)
    return '"' + kept.replace("\\", "\\\\").replace('"', '\\"') + '"'
