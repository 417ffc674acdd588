"""What a run leaves: a table for people, ``results.json`` for machines, ``results.md`` for both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure

_COLUMNS = ("contestant", "counted", "median", "min", "max", "rounds")

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of one run with what they depend on."""

    machine: Mapping[str, str]
    notes: Sequence[str]
    figures: Sequence[Figure]


def shown(report: Report, console: Console) -> None:
    """Print one table per measure, the notes, and the machine."""
    for title, head, rows in _tables(report.figures):
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in head:
            table.add_column(column, justify="left" if column == _COLUMNS[0] else "right")
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
    for title, head, rows in _tables(report.figures):
        parts += [f"## {title}", "", _line(head), _line(["---"] * len(head))]
        parts += [*map(_line, rows), ""]
    return "\n".join([*parts, *(f"- {note}" for note in report.notes), ""])


def _tables(figures: Sequence[Figure]) -> Iterator[tuple[str, Row, list[Row]]]:
    """Title, head and rows of each measure; one column for each peer that it has."""
    for title, group in groupby(figures, key=_title):
        members = list(group)
        known = {peer for figure in members for peer in figure.ratios}
        peers = [figure.contestant for figure in members if figure.contestant in known]
        head = (*_COLUMNS, *(f"× {peer}" for peer in peers))
        yield title, head, [_cells(figure, peers) for figure in members]


def _title(figure: Figure) -> str:
    better = "more" if figure.measure.more_is_better else "less"
    return f"{figure.group}: {figure.measure.name} ({figure.measure.unit}, {better} is better)"


def _cells(figure: Figure, peers: Sequence[str]) -> Row:
    numbers = (_number(each) for each in (figure.median, min(figure.values), max(figure.values)))
    ratios = (f"{figure.ratios[peer]:.2f}" if peer in figure.ratios else "" for peer in peers)
    return (figure.contestant, figure.count, *numbers, str(len(figure.values)), *ratios)


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
