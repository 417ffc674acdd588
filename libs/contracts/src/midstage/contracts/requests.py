"""What the edges saw: one immutable fact per request, written at its end, whatever its end was.

Written by the edges (gateway, SDK, HTTP ingest) to ``midstage.requests.v1``, keyed by source;
read by stats, data and throttle. Field names follow OpenTelemetry where it has one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.fact import Fact, Name

REQUEST_COMPLETED = "dev.midstage.request.completed.v1"
UNKNOWN_CUSTOMER = "unknown"
"""Who calls with a key that nobody knows; bills nothing."""
KEY_LABEL = "key"
"""The label that names the API key by which a request came, where keys have names."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0)]


class Outcome(StrEnum):
    """How a request ended; the caller's list and the ledger use the same five words."""

    OK = "ok"  # answered 1xx-3xx to the end
    INVALID = "invalid"  # 4xx by the replica or the gateway, other than refused
    ERROR = "error"  # 5xx, no answer from the replica, or one that breaks off
    REFUSED = "refused"  # 401, 403, 429 by the gateway or throttle
    CANCELLED = "cancelled"  # the caller left before the end


class RequestCompleted(Fact, frozen=True, kw_only=True):
    """One request at its end.

    ``usage`` are units by name (``requests``, ``input_tokens``, …) as the replica counted them, at
    most six decimals; ``estimated`` says that they were counted from what passed, because the
    answer did not end. ``ref`` is the caller's own number (``x-midstage-ref``), for reconciling.
    """

    app: Name
    customer: Name
    status: Annotated[int, msgspec.Meta(ge=0, le=999)]
    outcome: Outcome
    duration_ms: Milliseconds
    endpoint: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    revision: str = ""
    queue_ms: Milliseconds | None = None
    ttft_ms: Milliseconds | None = None
    bytes_in: Count = 0
    bytes_out: Count = 0
    usage: Annotated[
        dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], int | float],
        msgspec.Meta(max_length=32),
    ] = {}
    estimated: bool = False
    labels: Annotated[dict[str, str], msgspec.Meta(max_length=32)] = {}
    ref: Annotated[str, msgspec.Meta(max_length=256)] = ""
    cluster: str = ""
    pod: str = ""
    trace_id: str = ""


def outcome_of(*, status: int, by_gateway: bool, broke_off: bool, caller_left: bool) -> Outcome:
    """The outcome of a request; the order of the questions is the rule.

    ``by_gateway``: the gateway or throttle answered, not a replica. ``broke_off``: the replica's
    answer did not come or did not end.
    """
    if caller_left:
        return Outcome.CANCELLED
    if broke_off or status >= 500 or status == 0:
        return Outcome.ERROR
    if status in (401, 403, 429) and by_gateway:
        return Outcome.REFUSED
    if status >= 400:
        return Outcome.INVALID
    return Outcome.OK


BILLED: frozenset[Outcome] = frozenset({Outcome.OK, Outcome.CANCELLED})
"""Outcomes whose units count; settings of stats can add ``error`` and ``invalid``."""


def billable(fact: RequestCompleted, billed: frozenset[Outcome] = BILLED) -> Mapping[str, float]:
    """The units that this request adds to usage; none for an unknown customer or other outcomes."""
    if fact.customer == UNKNOWN_CUSTOMER or fact.outcome not in billed:
        return {}
    return fact.usage
