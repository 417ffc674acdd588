"""Runs as a picture (PNG), a panel each: replicas that the load needs, that serve, and the bounds.

Each pixel column shows the most of its time, so that no peak is lost. Pillow draws it, which is an
extra (``plots``): it is imported where a picture is asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from midstage.contracts.errors import RefusedError
from midstage.hpa.decide.forecast.seasons import Column
from midstage.hpa.simulate.chart import columned
from midstage.hpa.simulate.replay import Run
from midstage.hpa.simulate.series import STEP_S

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH: Final = 960
PANEL: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 60, 940, 36, 30
BLUE, ORANGE, GREY, FAINT = "#0072B2", "#D55E00", "#6B6B6B", "#DDDDDD"
GREEN: Final = "#009E73"
PALE: Final = "#D6E7F2"
BLACK: Final = "#000000"
LINES: Final = 4
_DASH: Final = 6
_SIZE: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One run under its name; ``bounds``: the least and most replicas of its policy, if any."""

    name: str
    run: Run
    bounds: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pen:
    draw: "ImageDraw"
    font: "FreeTypeFont | ImageFont"
    most: float  # at the top of each panel

    def text(self, at: tuple[float, float], words: str, colour: str, anchor: str) -> None:
        self.draw.text(at, words, fill=colour, font=self.font, anchor=anchor)


def picture(panels: Sequence[Panel]) -> bytes:
    """The file; all panels have the same scale. RefusedError where Pillow is not installed."""
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415  an extra
    except ImportError as e:
        raise RefusedError(
            "Pillow draws the picture and is not installed: install midstage-hpa[plots]"
        ) from e
    image = Image.new("RGB", (WIDTH, PANEL * max(1, len(panels))), "#FFFFFF")
    pen = _Pen(
        draw=ImageDraw.Draw(image),
        font=ImageFont.load_default(_SIZE),
        most=max((most_of(each.run) for each in panels), default=1.0),
    )
    for number, panel in enumerate(panels):
        _draw(pen, panel, number * PANEL + TOP, (number + 1) * PANEL - BOTTOM)
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _draw(pen: _Pen, panel: Panel, top: int, bottom: int) -> None:
    run = panel.run
    _frame(pen, top, bottom)
    columns = min(RIGHT - LEFT, len(run.load))
    ready = columned(run.ready.astype(np.float64), columns)
    needed = columned(np.nan_to_num(run.load) / run.each, columns)
    served = list(_steps(pen, ready, top, bottom))
    pen.draw.polygon([(LEFT, bottom), *served, (RIGHT, bottom)], fill=PALE)
    pen.draw.line(served, fill=BLUE)
    pen.draw.line(list(_steps(pen, needed, top, bottom)), fill=ORANGE)
    for bound in panel.bounds or ():
        if bound <= pen.most:
            y = _height(pen, bound, top, bottom)
            for x in range(LEFT, RIGHT, 2 * _DASH):
                pen.draw.line([(x, y), (min(x + _DASH, RIGHT), y)], fill=GREEN)
    _words(pen, panel, top, bottom)


def _frame(pen: _Pen, top: int, bottom: int) -> None:
    for line in range(LINES + 1):
        y = bottom - (bottom - top) * line / LINES
        pen.draw.line([(LEFT, y), (RIGHT, y)], fill=FAINT)
        pen.text((LEFT - 8, y), f"{pen.most * line / LINES:.0f}", GREY, "rm")


def _words(pen: _Pen, panel: Panel, top: int, bottom: int) -> None:
    pen.text((LEFT, top - 12), panel.name, BLACK, "ls")
    legend = [("needed", ORANGE), ("ready", BLUE)]
    if panel.bounds is not None:
        legend.append(("bounds {} to {}".format(*panel.bounds), GREEN))
    at = float(RIGHT)
    for words, colour in legend:
        pen.text((at, top - 12), words, colour, "rs")
        at -= pen.draw.textlength(words, font=pen.font) + 10
    days = len(panel.run.load) * STEP_S / 86_400
    for day in range(0, int(days) + 1, max(1, int(days) // 14)):
        pen.text((LEFT + (RIGHT - LEFT) * day / days, bottom + 16), f"{day} d", GREY, "ms")


def _steps(pen: _Pen, values: Column, top: int, bottom: int) -> Iterator[tuple[float, float]]:
    each = (RIGHT - LEFT) / len(values)
    for at, value in enumerate(values):
        y = _height(pen, float(value), top, bottom)
        yield LEFT + each * at, y
        yield LEFT + each * (at + 1), y


def _height(pen: _Pen, value: float, top: int, bottom: int) -> float:
    return bottom - (bottom - top) * value / pen.most


def most_of(run: Run) -> float:
    """The most replicas that were needed or ready."""
    needed = float(np.nan_to_num(run.load).max(initial=0.0)) / run.each
    return max(1.0, needed, float(run.ready.max(initial=0)))
