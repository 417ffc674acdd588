"""How a batch looks as Arrow tables, so that DuckDB takes it in whole columns."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types of its own

from midstage.contracts.requests import RequestCompleted
from midstage.eventlog.log import Partition
from midstage.stats.model import Cell, Counted, Fingerprint, Source, Sum

_TIME = pa.timestamp("us")
_UNITS = pa.map_(pa.string(), pa.int64())
_LABELS = pa.map_(pa.string(), pa.string())
_WHOLE = pa.decimal128(38, 0)


def requests(rows: Sequence[Counted], *, first: int, recorded_at: datetime) -> pa.Table:
    """The rows with their numbers from ``first`` on, in the order of the table's columns."""
    facts = [row.fact for row in rows]
    columns = {
        "row": pa.array(range(first, first + len(rows)), pa.int64()),
        **_attributes(rows),
        **_measured(facts),
        "usage": pa.array([list(row.units.items()) for row in rows], _UNITS),
        "billed": pa.array([bool(row.billed) for row in rows], pa.bool_()),
        "estimated": pa.array([fact.estimated for fact in facts], pa.bool_()),
        **_texts(facts),
        "recorded_at": pa.array([utc(recorded_at)] * len(rows), _TIME),
    }
    return pa.table(columns)


def minutes(sums: Mapping[Cell, Sum]) -> pa.Table:
    """One line for each outcome and unit of each cell."""
    lines = [
        (*cell, kind, name, amount)
        for cell, added in sums.items()
        for kind, parts in (("outcome", added.outcomes), ("unit", added.units))
        for name, amount in parts.items()
    ]
    at, customers, apps, kinds, names, amounts = zip(*lines, strict=True) if lines else ((),) * 6
    return pa.table(
        {
            "minute": pa.array([utc(time) for time in at], _TIME),
            "customer": pa.array(customers, pa.string()),
            "app": pa.array(apps, pa.string()),
            "kind": pa.array(kinds, pa.string()),
            "name": pa.array(names, pa.string()),
            "amount": pa.array(amounts, _WHOLE),
        }
    )


def sources(states: Iterable[Source]) -> pa.Table:
    """Each source's whole state as JSON."""
    named = list(states)
    return pa.table(
        {
            "source": pa.array([state.name for state in named], pa.string()),
            "state": pa.array([msgspec.json.encode(state).decode() for state in named]),
        }
    )


def fingerprints(marks: Iterable[Fingerprint]) -> pa.Table:
    """Each fingerprint as two whole numbers."""
    halves = [halved(mark) for mark in marks]
    return pa.table(
        {
            "high": pa.array([high for high, _ in halves], pa.int64()),
            "low": pa.array([low for _, low in halves], pa.int64()),
        }
    )


def positions(ends: Mapping[Partition, int]) -> pa.Table:
    """The next offset of each partition."""
    return pa.table(
        {
            "topic": pa.array([at.topic for at in ends], pa.string()),
            "number": pa.array([at.number for at in ends], pa.int32()),
            "next": pa.array(ends.values(), pa.int64()),
        }
    )


def halved(mark: Fingerprint) -> tuple[int, int]:
    """The two halves of a fingerprint as signed 64-bit numbers."""
    return (
        int.from_bytes(mark[:8], "big", signed=True),
        int.from_bytes(mark[8:], "big", signed=True),
    )


def joined(high: int, low: int) -> Fingerprint:
    """The fingerprint of two halves."""
    return Fingerprint(high.to_bytes(8, "big", signed=True) + low.to_bytes(8, "big", signed=True))


def utc(time: datetime) -> datetime:
    """The same instant without a zone, as the tables keep it."""
    exact = time if time.tzinfo is UTC else time.astimezone(UTC)
    return exact.replace(tzinfo=None)


def _attributes(rows: Sequence[Counted]) -> dict[str, pa.Array]:
    return {
        "source": pa.array([row.source for row in rows], pa.string()),
        "seq": pa.array([row.seq for row in rows], pa.int64()),
        "id": pa.array([row.id for row in rows], pa.string()),
        "time": pa.array([utc(row.time) for row in rows], _TIME),
    }


def _measured(facts: Sequence[RequestCompleted]) -> dict[str, pa.Array]:
    return {
        "customer": pa.array([fact.customer for fact in facts], pa.string()),
        "app": pa.array([fact.app for fact in facts], pa.string()),
        "status": pa.array([fact.status for fact in facts], pa.int32()),
        "outcome": pa.array([fact.outcome.value for fact in facts], pa.string()),
        "duration_ms": pa.array([fact.duration_ms for fact in facts], pa.float64()),
        "queue_ms": pa.array([fact.queue_ms for fact in facts], pa.float64()),
        "ttft_ms": pa.array([fact.ttft_ms for fact in facts], pa.float64()),
        "bytes_in": pa.array([fact.bytes_in for fact in facts], pa.int64()),
        "bytes_out": pa.array([fact.bytes_out for fact in facts], pa.int64()),
    }


def _texts(facts: Sequence[RequestCompleted]) -> dict[str, pa.Array]:
    return {
        "ref": pa.array([fact.ref for fact in facts], pa.string()),
        "endpoint": pa.array([fact.endpoint for fact in facts], pa.string()),
        "revision": pa.array([fact.revision for fact in facts], pa.string()),
        "labels": pa.array([list(fact.labels.items()) for fact in facts], _LABELS),
        "cluster": pa.array([fact.cluster for fact in facts], pa.string()),
        "pod": pa.array([fact.pod for fact in facts], pa.string()),
        "trace_id": pa.array([fact.trace_id for fact in facts], pa.string()),
    }
