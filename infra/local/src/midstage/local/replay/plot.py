"""The loop as a picture (SVG): three panels over one clock, and a line for each decision.

Offered requests a second, what is in flight, replicas wanted and serving. The colours are told
apart by people who see few of them, and the steps by their dashes too. Pure: a report gives bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from midstage.local.replay import svg
from midstage.local.replay.circle import Circle
from midstage.local.replay.findings import Report
from midstage.local.replay.scaling import Decision
from midstage.local.replay.series import Series
from midstage.local.replay.steps import Steps

WIDTH, HEIGHT = 960, 640
LEFT, RIGHT = 60.0, 936.0
BLUE, ORANGE, GREEN, GREY, FAINT = "#0072B2", "#D55E00", "#007A5A", "#6B6B6B", "#DDDDDD"
_LABEL_PX: Final = 40.0
_LABEL_ROWS: Final = 3
_NICE: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_TICKS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One panel: ``most`` is at its top, 0 at its bottom, ``length_s`` at its right edge."""

    title: str
    top: float
    bottom: float
    most: float
    begun: datetime
    length_s: float
    title_above: float = 8.0

    def x(self, second: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, second / self.length_s))

    def x_of(self, moment: datetime) -> float:
        return self.x((moment - self.begun).total_seconds())

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * min(1.0, value / self.most)


def plot(report: Report) -> bytes:
    """The report's picture; where nothing was sent, only its title."""
    circle = report.circle
    series = circle.series
    parts = [svg.element("rect", width=WIDTH, height=HEIGHT, fill="#FFFFFF")]
    title = f"Replicas of {circle.app or 'the application'} follow the load"
    parts += [
        svg.text(title, x=LEFT, y=28, font_size=17, font_weight="600"),
        svg.text(_about(report), x=LEFT, y=47, fill=GREY),
    ]
    if series is not None:
        parts += _panels(circle, series)
    return svg.document(parts, width=WIDTH, height=HEIGHT, title=title, about=_about(report))


def _about(report: Report) -> str:
    circle = report.circle
    words = [f"run {report.run}", f"{report.offered:,} requests"]
    if circle.decisions is not None:
        words.append(f"{circle.scale_ups} scale-ups and {circle.scale_downs} scale-downs")
    if circle.replicas is not None:
        words.append(
            f"{circle.replicas.seconds:,.0f} replica-seconds, {circle.replicas.saved:.0%} fewer "
            f"than {circle.replicas.peak} replicas all the time"
        )
    return ", ".join(words)


def _panels(circle: Circle, series: Series) -> Iterator[str]:
    def panel(
        title: str, top: float, bottom: float, most: float, title_above: float = 8.0
    ) -> _Panel:
        return _Panel(
            title=title,
            title_above=title_above,
            top=top,
            bottom=bottom,
            most=_ceiling(most),
            begun=series.begun,
            length_s=float(len(series.offered)),
        )

    offered = panel("offered requests/s", 84, 204, max(series.offered))
    in_flight = panel("requests in flight", 246, 366, max(series.in_flight))
    replicas = panel("replicas", 452, 592, max(1, _most_replicas(circle)), 46.0)
    for one in (offered, in_flight, replicas):
        yield from _frame(one)
    yield from _decisions(circle, (offered, in_flight, replicas))
    yield from _load(offered, series.offered, GREEN)
    yield from _load(in_flight, series.in_flight, BLUE)
    yield from _replicas(replicas, circle)
    yield from _legend(replicas)
    yield svg.text("seconds since the first request", x=RIGHT, y=HEIGHT - 12, text_anchor="end")


def _frame(panel: _Panel) -> Iterator[str]:
    yield svg.text(panel.title, x=LEFT, y=panel.top - panel.title_above, font_weight="600")
    step = next((n for n in _NICE if panel.most / n <= 5), _NICE[-1])
    for value in range(0, int(panel.most) + 1, step):
        y = panel.y(value)
        yield svg.line([(LEFT, y), (RIGHT, y)], stroke=FAINT)
        yield svg.text(f"{value:,}", x=LEFT - 8, y=y + 4, text_anchor="end", fill=GREY)
    tick_s = next((n for n in _TICKS_S if panel.length_s / n <= 14), _TICKS_S[-1])
    for second in range(0, int(panel.length_s) + 1, tick_s):
        x = panel.x(second)
        yield svg.line([(x, panel.bottom), (x, panel.bottom + 4)], stroke=GREY)
        yield svg.text(f"{second}", x=x, y=panel.bottom + 17, text_anchor="middle", fill=GREY)
    yield svg.line([(LEFT, panel.bottom), (RIGHT, panel.bottom)], stroke=GREY)


def _load(panel: _Panel, values: Sequence[int], colour: str) -> Iterator[str]:
    """One level for each second, filled down to zero."""
    points = [(panel.x(second), panel.y(value)) for second, value in enumerate(values)]
    corners = svg.stairs(points, end_x=RIGHT)
    closed = [(LEFT, panel.bottom), *corners, (RIGHT, panel.bottom)]
    yield svg.area(closed, fill=colour, fill_opacity=0.16)
    yield svg.line(corners, stroke=colour, stroke_width=1.4)


def _replicas(panel: _Panel, circle: Circle) -> Iterator[str]:
    if circle.replicas is None:
        words = "not known: the log was not read, or says nothing of them"
        yield svg.text(words, x=LEFT + 8, y=panel.top + 20, fill=GREY)
        return
    serving = _stairs(panel, circle.replicas.serving)
    if serving:
        closed = [(serving[0][0], panel.bottom), *serving, (RIGHT, panel.bottom)]
        yield svg.area(closed, fill=BLUE, fill_opacity=0.16)
        yield svg.line(serving, stroke=BLUE, stroke_width=2)
    wanted = _stairs(panel, circle.replicas.wanted)
    if wanted:
        yield _wanted_line(wanted)


def _wanted_line(points: Sequence[svg.Point]) -> str:
    return svg.line(points, stroke=ORANGE, stroke_width=2, stroke_dasharray="6 3")


def _stairs(panel: _Panel, steps: Steps) -> Sequence[svg.Point]:
    points = [(panel.x_of(step.at), panel.y(step.count)) for step in steps]
    return svg.stairs(points, end_x=RIGHT)


def _decisions(circle: Circle, panels: Sequence[_Panel]) -> Iterator[str]:
    """A line through all panels, a triangle and "from→to"; close ones stand below each other."""
    free = [LEFT - _LABEL_PX] * _LABEL_ROWS
    last = panels[-1]
    for one in circle.decisions or ():
        if one.app != circle.app:
            continue
        x = last.x_of(one.at)
        row = next((n for n in range(_LABEL_ROWS) if x - free[n] >= _LABEL_PX), None)
        for panel in panels:
            ends = [(x, panel.top), (x, panel.bottom)]
            yield svg.line(ends, stroke=ORANGE, stroke_opacity=0.45, stroke_dasharray="2 3")
        yield _triangle(one, x, last.top)
        if row is not None:  # else there is no room, and the triangle and the steps say it
            free[row] = x
            y = last.top - 16 - 12 * row
            words = f"{one.before}→{one.after}"
            yield svg.text(words, x=x, y=y, text_anchor="middle", font_size=11, fill=ORANGE)


def _triangle(one: Decision, x: float, top: float) -> str:
    high, low = (top - 11, top - 3) if one.after > one.before else (top - 3, top - 11)
    return svg.area([(x, high), (x - 5, low), (x + 5, low)], fill=ORANGE)


def _legend(panel: _Panel) -> Iterator[str]:
    y = panel.bottom + 34
    yield svg.line([(LEFT, y - 4), (LEFT + 26, y - 4)], stroke=BLUE, stroke_width=2)
    yield svg.text("serving", x=LEFT + 32, y=y)
    yield _wanted_line([(LEFT + 100, y - 4), (LEFT + 126, y - 4)])
    yield svg.text("wanted", x=LEFT + 132, y=y)
    yield svg.area([(LEFT + 200, y - 9), (LEFT + 195, y), (LEFT + 205, y)], fill=ORANGE)
    yield svg.text("decision, from→to", x=LEFT + 212, y=y)


def _most_replicas(circle: Circle) -> int:
    replicas = circle.replicas
    shown = () if replicas is None else (*replicas.wanted, *replicas.serving)
    return max((step.count for step in shown), default=0)


def _ceiling(most: float) -> float:
    """A round number that is not below ``most``."""
    step = next((n for n in _NICE if most / n <= 5), _NICE[-1])
    return float(max(1, ceil(most / step)) * step)
