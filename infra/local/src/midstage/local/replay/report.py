"""The report of a replay: what the callers saw, what the ledger has, and whether they agree.

``reconcile`` makes one; here is how it is written. On the screen and in JSON ``missing``,
``duplicated`` and ``different`` are numbers; the rows themselves follow, ``MOST_SHOWN`` at most.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from midstage.contracts.units import units
from midstage.local.replay import circle_shown
from midstage.local.replay.assemble import made
from midstage.local.replay.compare import Comparison, Sums
from midstage.local.replay.findings import Customer, Ends, PlatformFacts, Quantiles, Report
from midstage.local.replay.plot import plot
from midstage.local.replay.shown import INVENTED, as_text, print_report

__all__ = [
    "PlatformFacts",
    "Report",
    "as_json",
    "as_text",
    "exit_code",
    "made",
    "plot",
    "print_report",
    "write",
]

MOST_SHOWN = 100

Shown = Mapping[str, object]


def exit_code(report: Report) -> int:
    """0 where callers and a complete ledger agree and nobody is above its limit, else 1."""
    return 0 if report.agrees else 1


def write(report: Report, file: Path) -> Path:
    """Write the report as JSON, and its plot beside it with the ending ``.svg``; the plot's file.

    Raises OSError where one of them can't be written.
    """
    beside = file.with_suffix(".svg")
    if beside == file:
        beside = file.with_name(f"{file.name}.svg")
    file.write_bytes(as_json(report))
    beside.write_bytes(plot(report))
    return beside


def as_json(report: Report) -> bytes:
    """The report for programs, indented for people."""
    found, platform = report.found, report.platform
    whole: Shown = {
        "run": report.run,
        "agrees": report.agrees,
        **_ends(report.ends),
        **_counts(report.comparison),
        "holes": sum(hole.last - hole.first + 1 for hole in found.holes),
        "complete": found.complete,
        "notes": found.notes,
        **_units(report.comparison),
        "customers_are": INVENTED,
        "customers": {one.name: _customer(one) for one in report.customers},
        "over_limit": report.over_limit,
        "short_of_limit": report.short_of_limit,
        "latency_ms": _quantiles(report.latency_ms),
        "ttft_ms": _quantiles(report.ttft_ms),
        "freshness_ms": _quantiles(report.freshness_ms),
        "late_ms": _quantiles(report.late_ms),
        "restarts": platform.restarts,
        "throttle_restarts": platform.throttle_restarts,
        "failure_mode_allowed": platform.failure_mode_allowed,
        "late_open": platform.late_open,
        **circle_shown.for_programs(report.circle),
        "peak_rss_mb": round(platform.peak_rss_mb, 1),
        "details": {
            "missing": report.missing[:MOST_SHOWN],
            "duplicated": report.duplicated[:MOST_SHOWN],
            "different": report.different[:MOST_SHOWN],
            "holes": found.holes[:MOST_SHOWN],
        },
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2)


def _customer(one: Customer) -> Shown:
    return {
        "share": round(one.share, 4),
        **_ends(one.ends),
        **_counts(one.comparison),
        **_units(one.comparison),
        "limit": one.allowance,
    }


def _ends(ends: Ends) -> Shown:
    return {
        "offered": ends.offered,
        "answered": ends.answered,
        "refused": ends.refused,
        "failed": ends.failed,
        "cancelled": ends.cancelled,
        "ledger": ends.ledger,
    }


def _counts(found: Comparison) -> Shown:
    rows: Mapping[str, Sequence[object]] = {
        "missing": found.missing,
        "duplicated": found.duplicated,
        "different": found.different,
    }
    return {name: len(of) for name, of in rows.items()}


def _units(found: Comparison) -> Shown:
    return {
        "units": _by_name(found.units),
        "estimated": {"rows": found.estimated_rows, "units": _by_name(found.estimated)},
    }


def _by_name(sums: Sums) -> Shown:
    names = sorted(sums.caller.keys() | sums.ledger.keys())
    return {
        name: {
            "caller": units(sums.caller.get(name, 0)),
            "ledger": units(sums.ledger.get(name, 0)),
        }
        for name in names
    }


def _quantiles(of: Quantiles) -> Shown:
    return {"p50": of.p50, "p99": of.p99}
