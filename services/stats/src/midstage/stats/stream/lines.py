"""Events that may count, one by one, and the same as columns."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from midstage.contracts.metered import Metered
from midstage.contracts.requests import UNKNOWN_CUSTOMER, Outcome, RequestCompleted
from midstage.contracts.units import Micros
from midstage.stats.model import (
    METERED,
    NO_ROWS,
    REQUEST,
    Amounts,
    Doubles,
    Flags,
    Labels,
    Longs,
    Rows,
    Texts,
    Words,
)

LARGEST_MS = 1e10
LARGEST_BYTES = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event that can be counted; ``seq`` 0 where it has no number."""

    source: str
    id: str
    seq: int
    time: datetime
    fact: RequestCompleted | Metered
    units: Mapping[str, Micros]


def rows_of(lines: Sequence[Line], *, billed: frozenset[Outcome]) -> Rows:
    """The lines as columns, in their order; what is metered is billed to a known customer."""
    if not lines:
        return NO_ROWS
    count = len(lines)
    requests = [_request(line.fact) for line in lines]
    metered = [isinstance(line.fact, Metered) for line in lines]
    customer = Words.of([fact.customer for fact in requests])
    outcome = Words.of(
        ["" if other else fact.outcome.value for fact, other in zip(requests, metered, strict=True)]
    )
    return Rows(
        kind=Words.of([METERED if other else REQUEST for other in metered]),
        source=Words.of([line.source for line in lines]),
        seq=np.fromiter((line.seq for line in lines), np.int64, count),
        id=Texts.of([line.id for line in lines]),
        time=np.fromiter(((line.time - _EPOCH) // _MICROSECOND for line in lines), np.int64, count),
        customer=customer,
        app=Words.of([fact.app for fact in requests]),
        endpoint=Words.of([fact.endpoint for fact in requests]),
        revision=Words.of([fact.revision for fact in requests]),
        status=np.fromiter((fact.status for fact in requests), np.int32, count),
        outcome=outcome,
        duration_ms=_milliseconds(fact.duration_ms for fact in requests),
        queue_ms=_milliseconds(fact.queue_ms for fact in requests),
        ttft_ms=_milliseconds(fact.ttft_ms for fact in requests),
        bytes_in=np.fromiter((fact.bytes_in for fact in requests), np.int64, count),
        bytes_out=np.fromiter((fact.bytes_out for fact in requests), np.int64, count),
        usage=_amounts([line.units for line in lines]),
        billed=billable(customer, outcome, billed),
        estimated=np.fromiter((fact.estimated for fact in requests), np.bool_, count),
        labels=_labels([fact.labels for fact in requests]),
        ref=Texts.of([fact.ref for fact in requests]),
        cluster=Words.of([fact.cluster for fact in requests]),
        pod=Words.of([fact.pod for fact in requests]),
        trace_id=Texts.of([fact.trace_id for fact in requests]),
    )


def billable(customer: Words, outcome: Words, billed: frozenset[Outcome]) -> Flags:
    """Which rows enter usage: of a known customer, with a billed outcome or none (metered)."""
    known = np.array([word != UNKNOWN_CUSTOMER for word in customer.words], np.bool_)
    counts = np.array([word == "" or word in billed for word in outcome.words], np.bool_)
    flags: Flags = known[customer.codes] & counts[outcome.codes]
    return flags


def _request(fact: RequestCompleted | Metered) -> RequestCompleted:
    """Metered work in the columns of a request, which it leaves empty."""
    if isinstance(fact, RequestCompleted):
        return fact
    return RequestCompleted(
        app=fact.app,
        customer=fact.customer,
        status=0,
        outcome=Outcome.OK,
        duration_ms=0.0,
        labels=fact.labels,
        ref=fact.ref,
    )


def _milliseconds(values: Iterable[float | None]) -> Doubles:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _amounts(parts: Sequence[Mapping[str, Micros]]) -> Amounts:
    count = sum(map(len, parts))
    return Amounts(
        rows=_owners(parts),
        names=Words.of([name for part in parts for name in part]),
        micros=np.fromiter((micros for part in parts for micros in part.values()), np.int64, count),
    )


def _labels(parts: Sequence[Mapping[str, str]]) -> Labels:
    return Labels(
        rows=_owners(parts),
        names=Words.of([name for part in parts for name in part]),
        values=Words.of([value for part in parts for value in part.values()]),
    )


def _owners(parts: Sequence[Mapping[str, object]]) -> Longs:
    lengths = np.fromiter(map(len, parts), np.int64, len(parts))
    return np.repeat(np.arange(len(parts), dtype=np.int64), lengths)
