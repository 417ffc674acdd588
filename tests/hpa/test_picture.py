"""A backtest as a PNG: decoded, as large as its panels, with each series in its colour."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from midstage.contracts.errors import RefusedError
from midstage.hpa.main import backtest
from midstage.hpa.simulate.picture import (
    BLUE,
    GREEN,
    LEFT,
    ORANGE,
    PANEL,
    RIGHT,
    WIDTH,
    Panel,
    picture,
)
from midstage.hpa.simulate.replay import Run

STEPS = 2_000


def a_run(*, needed: float, ready: int) -> Run:
    """A peak in the middle, of one step."""
    load = np.full(STEPS, 1.0)
    load[STEPS // 2] = needed
    counts = np.full(STEPS, ready, dtype=np.int64)
    return Run(load=load, ready=counts, there=counts, queue=np.zeros(STEPS), each=1.0, waits_s=())


def panel(name: str = "ours", *, least: int = 2, most: int = 8) -> Panel:
    return Panel(name=name, run=a_run(needed=10.0, ready=5), bounds=(least, most))


def decoded(file: bytes) -> Image.Image:
    image = Image.open(BytesIO(file))
    assert image.format == "PNG"
    image.load()
    return image.convert("RGB")


def rows_of(image: Image.Image, colour: str, number: int = 0) -> set[int]:
    """The rows of a panel's drawing, below its words, in which there is a pixel of that colour."""
    wanted = tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
    pixels = np.asarray(image)[number * PANEL + 36 : (number + 1) * PANEL - 29, LEFT : RIGHT + 1]
    return {int(row) for row in np.flatnonzero((pixels == wanted).all(axis=2).any(axis=1))}


def test_each_series_and_both_bounds_stand_where_they_are() -> None:
    """Ten replicas high, so a replica is 15.4 rows."""
    image = decoded(picture([panel()]))
    assert image.size == (WIDTH, PANEL)
    assert min(rows_of(image, ORANGE)) == 0  # the peak, though it is of one step in two thousand
    assert rows_of(image, BLUE) & {76, 77, 78}  # 5 of 10
    assert {30, 31} & rows_of(image, GREEN)  # 8 of 10
    assert {123, 124} & rows_of(image, GREEN)  # 2 of 10


def test_a_bound_above_the_picture_is_told_in_words_alone() -> None:
    image = decoded(picture([panel(least=1, most=1000)]))
    assert {138, 139} & rows_of(image, GREEN)
    assert len(rows_of(image, GREEN)) == 1


def test_a_panel_for_each_policy() -> None:
    image = decoded(picture([panel("one"), panel("another")]))
    assert image.size == (WIDTH, 2 * PANEL)
    for number in (0, 1):
        for colour in (BLUE, ORANGE, GREEN):
            assert rows_of(image, colour, number)
    assert decoded(picture([])).size == (WIDTH, PANEL)


def test_without_pillow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(RefusedError, match=r"install midstage-hpa\[plots\]"):
        picture([panel()])


def test_what_happened_has_no_bounds() -> None:
    run = a_run(needed=10.0, ready=5)
    image = decoded(picture([Panel(name="what happened", run=run, bounds=None)]))
    assert not rows_of(image, GREEN)
    assert rows_of(image, BLUE)


@pytest.mark.slow
def test_a_backtest_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, series, file = (tmp_path / name for name in ("ours.json", "load.csv", "run.png"))
    policy.write_text('{"min": 2, "max": 50, "targets": {"requests_per_s": 7}}')
    rows = [f"{minute * 60},{20 if minute < 30 else 90}" for minute in range(60)]
    series.write_text("\n".join(["ts,value", *rows]))
    line = ["--policy", str(policy), "--series", str(series), "--warm-up", "0"]
    assert backtest([*line, "--plot", str(file)]) == 0
    assert decoded(file.read_bytes()).size == (WIDTH, PANEL)
    assert "replica-hours" in capsys.readouterr().out
