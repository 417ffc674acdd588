"""Runs as a picture (SVG), one panel each: replicas that the load needs, and those that serve.

Each pixel column shows the most of its time, so that no peak is lost.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.chart import columned
from midstage.hpa.simulate.replay import Run
from midstage.hpa.simulate.series import STEP_S

WIDTH: Final = 960
PANEL: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 60, 940, 36, 30
BLUE, ORANGE, GREY, FAINT = "#0072B2", "#D55E00", "#6B6B6B", "#DDDDDD"
LINES: Final = 4


def plot(runs: Sequence[tuple[str, Run]]) -> bytes:
    """The file; all panels have the same scale."""
    most = max((most_of(run) for _, run in runs), default=1.0)
    parts = [
        part for number, (name, run) in enumerate(runs) for part in _panel(name, run, number, most)
    ]
    height = PANEL * max(1, len(runs))
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" role="img" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        f"<title>Replicas needed and ready</title>"
        f'<rect width="{WIDTH}" height="{height}" fill="#FFFFFF"/>{"".join(parts)}</svg>\n'
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}'.encode()


def _panel(name: str, run: Run, number: int, most: float) -> Iterator[str]:
    top, bottom = number * PANEL + TOP, (number + 1) * PANEL - BOTTOM
    for line in range(LINES + 1):
        y = bottom - (bottom - top) * line / LINES
        yield f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="{FAINT}"/>'
        yield (
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{GREY}">'
            f"{most * line / LINES:.0f}</text>"
        )
    columns = min(RIGHT - LEFT, len(run.load))
    needed = columned(np.nan_to_num(run.load) / run.each, columns)
    ready = columned(run.ready.astype(np.float64), columns)
    yield f'<text x="{LEFT}" y="{top - 12}" font-weight="600">{escape(name)}</text>'
    yield (
        f'<text x="{RIGHT}" y="{top - 12}" text-anchor="end">'
        f'<tspan fill="{ORANGE}">needed</tspan> <tspan fill="{BLUE}">ready</tspan></text>'
    )
    yield _line(ready, top, bottom, most, BLUE, fill=True)
    yield _line(needed, top, bottom, most, ORANGE, fill=False)
    days = len(run.load) * STEP_S / 86_400
    for day in range(0, int(days) + 1, max(1, int(days) // 14)):
        x = LEFT + (RIGHT - LEFT) * day / days
        yield (
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="{GREY}">{day} d</text>'
        )


def _line(values: Column, top: int, bottom: int, most: float, colour: str, *, fill: bool) -> str:
    each = (RIGHT - LEFT) / len(values)
    steps = "".join(
        f"V{bottom - (bottom - top) * float(value) / most:.1f}H{LEFT + each * (at + 1):.1f}"
        for at, value in enumerate(values)
    )
    inside = f'fill="{colour}" fill-opacity="0.16"' if fill else 'fill="none"'
    end = f"V{bottom}Z" if fill else ""
    return f'<path d="M{LEFT} {bottom}{steps}{end}" {inside} stroke="{colour}"/>'


def most_of(run: Run) -> float:
    """The most replicas that were needed or ready."""
    needed = float(np.nan_to_num(run.load).max(initial=0.0)) / run.each
    return max(1.0, needed, float(run.ready.max(initial=0)))
