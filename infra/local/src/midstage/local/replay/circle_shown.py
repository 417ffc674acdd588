"""The loop's part of a report: for programs as JSON, for people as text with a chart."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from textwrap import shorten as shortened

from rich.console import RenderableType
from rich.table import Table

from midstage.local.replay.assemble import quantiles
from midstage.local.replay.chart import chart
from midstage.local.replay.circle import Availability, Circle
from midstage.local.replay.findings import Quantiles
from midstage.local.replay.scaling import Decision

MOST_SHOWN = 30
_UNKNOWN = "–"
_REASON_CHARACTERS = 64
"""The whole reason is in the JSON."""


def for_programs(circle: Circle) -> Mapping[str, object]:
    """The keys that the loop adds to the report; null is unknown."""
    replicas, decisions = circle.replicas, circle.decisions
    return {
        "decisions": None if decisions is None else [_decision(circle, d) for d in decisions],
        "scale_ups": circle.scale_ups,
        "scale_downs": circle.scale_downs,
        "replica_peak": replicas and replicas.peak,
        "replica_seconds": replicas and round(replicas.seconds, 1),
        "replica_seconds_fixed": replicas and round(replicas.fixed_seconds, 1),
        "replica_seconds_saved": replicas and round(replicas.saved, 4),
        **latencies(circle),
        "availability": {one.app: _availability(one) for one in circle.availability},
        "loop_notes": circle.notes,
    }


def latencies(circle: Circle) -> Mapping[str, Quantiles]:
    """By name, over the decisions of which it is known; the last two of scale-ups alone."""
    decisions = circle.decisions or ()
    return {
        "load_to_decision_ms": _known(one.load_to_decision_ms for one in decisions),
        "decision_to_ready_ms": _known(one.decision_to_ready_ms for one in decisions),
        "load_to_ready_ms": _known(one.load_to_ready_ms for one in decisions),
    }


def times(circle: Circle) -> Mapping[str, Quantiles]:
    """The same by names for people; none where nobody asked for the loop."""
    if circle.series is None:
        return {}
    names = ("load to decision", "scale-up to ready pods", "load to ready pods")
    return dict(zip(names, latencies(circle).values(), strict=True))


def for_people(circle: Circle) -> Iterator[RenderableType]:
    """The chart, what was decided and how long it took, replicas, availability."""
    if circle.series is None:
        return
    yield "\n".join(chart(circle))
    if circle.decisions is None:
        yield "  decisions: not known"
    else:
        yield _table(circle, circle.decisions)
        if len(circle.decisions) > MOST_SHOWN:
            yield f"  and {len(circle.decisions) - MOST_SHOWN} more"
    yield _replicas(circle)
    yield from (_available(one) for one in circle.availability)
    yield from (f"  note: {note}" for note in circle.notes)


def _decision(circle: Circle, one: Decision) -> Mapping[str, object]:
    return {
        "seconds": _seconds(circle, one),
        "time": one.at.astimezone(UTC),
        "app": one.app,
        "from": one.before,
        "to": one.after,
        "reason": one.reason,
        "load_to_decision_ms": _rounded(one.load_to_decision_ms),
        "decision_to_ready_ms": _rounded(one.decision_to_ready_ms),
        "load_to_ready_ms": _rounded(one.load_to_ready_ms),
    }


def _availability(one: Availability) -> Mapping[str, object]:
    return {
        "good": one.good,
        "valid": one.valid,
        "availability": one.availability,
        "target": one.target,
        "budget": one.budget,
    }


def _table(circle: Circle, decisions: tuple[Decision, ...]) -> Table:
    title = "Decisions of hpa, and milliseconds from the load to each and from each to its pods"
    table = Table(title=title, title_justify="left")
    for name in ("at s", "replicas", "from load", "to ready"):
        table.add_column(name, justify="right")
    for name in ("app", "reason"):
        table.add_column(name)
    for one in decisions[:MOST_SHOWN]:
        table.add_row(
            f"{_seconds(circle, one):.1f}",
            f"{one.before} → {one.after}",
            _whole(one.load_to_decision_ms),
            _whole(one.decision_to_ready_ms),
            one.app,
            shortened(one.reason, _REASON_CHARACTERS, placeholder="…"),
        )
    return table


def _replicas(circle: Circle) -> str:
    replicas = circle.replicas
    if replicas is None:
        return f"  replicas of {circle.app or 'the application'}: not known"
    return (
        f"{circle.app}: {_count(circle.scale_ups)} scale-ups and {_count(circle.scale_downs)} "
        f"scale-downs before the last request; ready replicas took {replicas.seconds:,.0f} s "
        f"together, a fixed fleet of {replicas.peak} (the peak) {replicas.fixed_seconds:,.0f} s: "
        f"{replicas.saved:.0%} saved"
    )


def _available(one: Availability) -> str:
    share = _UNKNOWN if one.availability is None else f"{one.availability:.3%}"
    target = _UNKNOWN if one.target is None else f"{one.target * 100:.5g}%"
    left = one.budget.get("left")
    return (
        f"{one.app}: availability {share}, {one.good:,} good of {one.valid:,} that could have "
        f"been; target {target}; errors left {_UNKNOWN if left is None else left}"
    )


def _seconds(circle: Circle, one: Decision) -> float:
    begun: datetime = circle.series.begun if circle.series else one.at
    return round((one.at - begun).total_seconds(), 3)


def _known(values: Iterable[float | None]) -> Quantiles:
    return quantiles(value for value in values if value is not None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _whole(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.0f}"


def _count(value: int | None) -> str:
    return _UNKNOWN if value is None else str(value)
