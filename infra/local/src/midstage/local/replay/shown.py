"""The report as people read it: what agrees, who sent what, how long things took."""

import io
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table

from midstage.contracts.units import units
from midstage.local.replay import circle_shown
from midstage.local.replay.allowance import Allowance
from midstage.local.replay.compare import Sums
from midstage.local.replay.customers import NAMES
from midstage.local.replay.findings import Customer, Quantiles, Report

INVENTED = "The customers and their shares are invented: the trace names none."
WIDTH = 120
_FEW = 10
_UNKNOWN = "–"


def as_text(report: Report) -> str:
    """The report as plain text."""
    out = io.StringIO()
    print_report(report, Console(file=out, width=WIDTH, color_system=None))
    return out.getvalue().rstrip()


def print_report(report: Report, console: Console) -> None:
    """Print the report."""
    console.print(Group(*_parts(report)), highlight=False, markup=False)


def _parts(report: Report) -> Iterator[RenderableType]:
    ends, found = report.ends, report.found
    yield f"Replay {report.run}"
    yield (
        f"  offered {ends.offered}: answered {ends.answered}, refused {ends.refused}, "
        f"failed {ends.failed}, cancelled {ends.cancelled}; in the ledger {ends.ledger}"
    )
    yield (
        f"  missing {len(report.missing)}, duplicated {len(report.duplicated)}, "
        f"different {len(report.different)}; "
        f"holes {sum(hole.last - hole.first + 1 for hole in found.holes)}"
    )
    yield from (f"  note: {note}" for note in found.notes)
    yield from _details(report)
    yield _units(report)
    yield _customers(report)
    yield INVENTED
    yield _times(report)
    yield from circle_shown.for_people(report.circle)
    yield _platform(report)
    yield _verdict(report)


def _details(report: Report) -> Iterator[str]:
    for row in report.missing[:_FEW]:
        yield f"  missing {row.ref} of {row.customer}: {row.outcome} {row.status} {row.reason}"
    for twice in report.duplicated[:_FEW]:
        yield f"  duplicated {twice.ref} of {twice.customer}: {', '.join(twice.places)}"
    for other in report.different[:_FEW]:
        fields = (f"{name} {mine} ≠ {theirs}" for name, (mine, theirs) in other.fields.items())
        yield f"  different {other.ref} of {other.customer}: {'; '.join(fields)}"


def _units(report: Report) -> Table:
    table = Table(title="Units, callers' sum and ledger's sum", title_justify="left")
    table.add_column("unit")
    for name in ("callers", "ledger", "estimated: callers", "estimated: ledger"):
        table.add_column(name, justify="right")
    sure, guessed = report.comparison.units, report.comparison.estimated
    for name in _names(sure, guessed):
        columns = (sure.caller, sure.ledger, guessed.caller, guessed.ledger)
        table.add_row(name, *(f"{units(column.get(name, 0)):,}" for column in columns))
    return table


def _names(*sums: Sums) -> list[str]:
    return sorted({name for one in sums for name in (*one.caller, *one.ledger)})


def _customers(report: Report) -> Table:
    table = Table(title="Customers", title_justify="left")
    table.add_column("customer", no_wrap=True, min_width=max(map(len, NAMES)))
    columns = "share offered refused failed left ledger ≠ rate/s admitted allowed limit"
    for name in columns.split(" "):
        table.add_column(name, justify="right")
    for one in report.customers:
        table.add_row(one.name, *_customer(one))
    return table


def _customer(one: Customer) -> Iterator[str]:
    yield f"{one.share:.1%}"
    ends, found = one.ends, one.comparison
    yield from (str(n) for n in (ends.offered, ends.refused, ends.failed, ends.cancelled))
    yield str(ends.ledger)
    yield str(len(found.missing) + len(found.duplicated) + len(found.different))
    kept = one.allowance
    if kept is None:
        yield from (_UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)
        return
    yield f"{kept.rate_per_s:.2f}"
    yield str(kept.admitted)
    yield f"{kept.allowed:.0f}"
    yield _kept(kept)


def _kept(kept: Allowance) -> str:
    if not kept.within:
        return "exceeded"
    return "kept" if kept.close else "too strict"


def _times(report: Report) -> Table:
    table = Table(title="Milliseconds", title_justify="left")
    table.add_column("")
    table.add_column("p50", justify="right")
    table.add_column("p99", justify="right")
    rows = {
        "latency of answers": report.latency_ms,
        "time to first token (streamed)": report.ttft_ms,
        "end of a request to its row": report.freshness_ms,
        "behind the trace's schedule": report.late_ms,
        **circle_shown.times(report.circle),
    }
    for name, of in rows.items():
        table.add_row(name, *_quantiles(of))
    return table


def _quantiles(of: Quantiles) -> tuple[str, str]:
    return _number(of.p50), _number(of.p99)


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.1f}"


def _platform(report: Report) -> str:
    facts = report.platform
    restarts = ", ".join(f"{name} {times}" for name, times in sorted(facts.restarts.items()))
    return (
        f"All processes held {facts.peak_rss_mb:,.0f} MiB at most; restarts: "
        f"{restarts or 'none'}; passed without throttle: {facts.failure_mode_allowed}; "
        f"passed because it was late: {facts.late_open}"
    )


def _verdict(report: Report) -> str:
    if report.agrees:
        return "Callers and ledger agree to the last request."
    over = f"; above their limits: {', '.join(report.over_limit)}" if report.over_limit else ""
    unsure = "" if report.found.complete else "; the ledger is not known to be complete"
    return (
        f"They do NOT agree: {len(report.missing)} missing, {len(report.duplicated)} duplicated, "
        f"{len(report.different)} different{over}{unsure}."
    )
