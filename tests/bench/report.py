"""What a run leaves: a table for people, ``results.json`` for machines, ``results.md`` for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure

_COLUMNS = ("contestant", "counted", "median", "min", "max", "rounds", "beside its peers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one run with what they depend on."""

    machine: Mapping[str, str]
    notes: Sequence[str]
    figures: Sequence[Figure]


def shown(report: Report, console: Console) -> None:
    """Print one table per measure, the notes, and the machine."""
    for title, rows in _tables(report.figures):
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in _COLUMNS:
            table.add_column(column, justify="left" if column in _COLUMNS[:1] else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for note in report.notes:
        console.print(f"- {note}", highlight=False)
    console.print(_machine(report.machine), highlight=False)


def written(report: Report, directory: Path) -> None:
    """Write both files, making the directory if need be."""
    directory.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.encode(
        {
            "machine": report.machine,
            "notes": report.notes,
            "figures": [_row(figure) for figure in report.figures],
        }
    )
    (directory / "results.json").write_bytes(msgspec.json.format(content, indent=2) + b"\n")
    (directory / "results.md").write_text(_markdown(report))


def _markdown(report: Report) -> str:
    parts = ["# What the bench measured", "", _machine(report.machine), ""]
    for title, rows in _tables(report.figures):
        parts += [f"## {title}", "", _line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
        parts += [*map(_line, rows), ""]
    return "\n".join([*parts, *(f"- {note}" for note in report.notes), ""])


def _tables(figures: Sequence[Figure]) -> list[tuple[str, list[tuple[str, ...]]]]:
    def title(figure: Figure) -> str:
        better = "more" if figure.measure.more_is_better else "less"
        return f"{figure.group}: {figure.measure.name} ({figure.measure.unit}, {better} is better)"

    return [(name, list(map(_cells, group))) for name, group in groupby(figures, key=title)]


def _cells(figure: Figure) -> tuple[str, ...]:
    ratios = ", ".join(f"{ratio:.2f} × {peer}" for peer, ratio in figure.ratios.items())
    low, high = min(figure.values), max(figure.values)
    numbers = (_number(each) for each in (figure.median, low, high))
    return (figure.contestant, figure.count, *numbers, str(len(figure.values)), ratios)


def _row(figure: Figure) -> Mapping[str, object]:
    return {
        "group": figure.group,
        "measure": figure.measure.name,
        "unit": figure.measure.unit,
        "more_is_better": figure.measure.more_is_better,
        "contestant": figure.contestant,
        "counted": figure.count,
        "rounds": len(figure.values),
        "median": figure.median,
        "min": min(figure.values),
        "max": max(figure.values),
        "values": figure.values,
        "ratios": figure.ratios,
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.2f}"


def _machine(facts: Mapping[str, str]) -> str:
    return "Measured on: " + ", ".join(f"{name} {value}" for name, value in facts.items()) + "."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
