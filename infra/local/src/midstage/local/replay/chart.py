"""The loop as text: offered load, what is in flight, and replicas that follow; 80 columns, pure.

Each column is some seconds: of a series it shows the mean, of replicas the count in its middle.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise, repeat, takewhile
from math import ceil
from typing import Final

from midstage.local.replay import steps
from midstage.local.replay.circle import Circle, Replicas
from midstage.local.replay.scaling import Decision
from midstage.local.replay.series import Series

COLUMNS: Final = 72
LOAD_ROWS: Final = 4
MOST_ROWS: Final = 10
_LABEL: Final = 5
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
SERVING, STARTING, LEAVING, NOTHING = "█", "░", "▒", " "
UP, DOWN, BOTH = "▲", "▼", "◆"
LEGEND: Final = (
    f"{SERVING} serving  {STARTING} wanted, not serving yet  {LEAVING} serving, not wanted"
    f"  {UP}{DOWN} decision"
)
_TICKS_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def chart(circle: Circle) -> Iterator[str]:
    """The lines of the chart; none where nothing was sent."""
    series = circle.series
    if series is None:
        return
    columns = min(COLUMNS, len(series.offered))
    yield "offered requests/s"
    yield from _load(_means(series.offered, columns))
    yield "in flight"
    yield from _load(_means(series.in_flight, columns))
    if circle.replicas is not None:
        yield "replicas"
        yield from _replicas(circle.replicas, series, columns)
    yield _row("", _marks(circle, series, columns)).rstrip()
    yield from _axis(len(series.offered), columns)
    if circle.replicas is not None:
        yield LEGEND


def _load(values: Sequence[float]) -> Iterator[str]:
    most = max(1.0, *values)
    eighths = [round(value / most * LOAD_ROWS * 8) for value in values]
    for row in reversed(range(LOAD_ROWS)):
        label = f"{most:.0f}" if row == LOAD_ROWS - 1 else ""
        yield _row(label, "".join(_BLOCKS[min(8, max(0, n - row * 8))] for n in eighths))


def _replicas(replicas: Replicas, series: Series, columns: int) -> Iterator[str]:
    moments = [series.begun + timedelta(seconds=s) for s in _middles(series, columns)]
    serving = [steps.at(replicas.serving, moment) or 0 for moment in moments]
    wanted = [steps.at(replicas.wanted, moment) for moment in moments]
    most = max(1, *serving, *(count or 0 for count in wanted))
    each = ceil(most / MOST_ROWS)
    for row in reversed(range(1, ceil(most / each) + 1)):
        level = (row - 1) * each + 1
        cells = (_cell(level, s, w) for s, w in zip(serving, wanted, strict=True))
        yield _row(str(min(most, row * each)), "".join(cells))


def _cell(level: int, serving: int, wanted: int | None) -> str:
    if serving >= level:
        return LEAVING if wanted is not None and wanted < level else SERVING
    return STARTING if wanted is not None and wanted >= level else NOTHING


def _marks(circle: Circle, series: Series, columns: int) -> str:
    marks = [NOTHING] * columns
    for one in circle.decisions or ():
        second = (one.at - series.begun).total_seconds()
        column = min(columns - 1, int(second * columns / len(series.offered)))
        if one.app == circle.app and second >= 0:
            marks[column] = _mark(one, marks[column])
    return "".join(marks)


def _mark(one: Decision, there: str) -> str:
    mark = UP if one.up else DOWN if one.down else NOTHING
    if NOTHING in (mark, there):
        return mark if there == NOTHING else there
    return mark if mark == there else BOTH


def _axis(length_s: int, columns: int) -> Iterator[str]:
    tick_s = next((tick for tick in _TICKS_S if length_s / tick <= 8), _TICKS_S[-1])
    line, labels = ["─"] * columns, [NOTHING] * columns
    for second in takewhile(lambda s: s < length_s, accumulate(repeat(tick_s), initial=0)):
        column = second * columns // length_s
        line[column] = "┴"
        text = f"{second}"
        if column + len(text) <= columns:
            labels[column : column + len(text)] = text
    yield f"{'':>{_LABEL}} └{''.join(line)}"
    yield f"{'s':>{_LABEL}}  {''.join(labels)}".rstrip()


def _row(label: str, cells: str) -> str:
    return f"{label:>{_LABEL}} │{cells}"


def _means(values: Sequence[int], columns: int) -> Sequence[float]:
    return [sum(values[a:b]) / (b - a) for a, b in _spans(len(values), columns)]


def _middles(series: Series, columns: int) -> Sequence[float]:
    return [(a + b) / 2 for a, b in _spans(len(series.offered), columns)]


def _spans(length: int, columns: int) -> Sequence[tuple[int, int]]:
    edges = [column * length // columns for column in range(columns + 1)]
    return list(pairwise(edges))
