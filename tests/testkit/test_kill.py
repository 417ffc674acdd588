import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from midstage.testkit.kill import Killer

SERVICE = """
import sys

def main(env, *, reached):
    for turn in range(1, 4):
        print("turn", turn, flush=True)
        reached("elsewhere")
        reached("between")
    return int(env["EXIT"])
"""


def run(directory: Path, *, nth: int = 2) -> subprocess.CompletedProcess[str]:
    (directory / "victim.py").write_text(SERVICE)
    arguments = ["--at", "between", "--nth", str(nth), "--once", str(directory / "marker")]
    return subprocess.run(
        [sys.executable, "-m", "midstage.testkit.kill", *arguments, "--", "victim"],
        env={**os.environ, "PYTHONPATH": str(directory), "EXIT": "7"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.slow
def test_a_process_dies_at_the_nth_time_and_its_successor_lives(tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "turn 1\nturn 2\n")
    assert (second.returncode, second.stdout) == (7, "turn 1\nturn 2\nturn 3\n")
    assert "between" in (tmp_path / "marker").read_text()


@pytest.mark.slow
def test_a_place_reached_too_seldom_kills_nobody(tmp_path: Path) -> None:
    ended = run(tmp_path, nth=4)
    assert ended.returncode == 7
    assert not (tmp_path / "marker").exists()


@pytest.mark.slow
def test_a_time_below_the_first_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, nth=0)
    assert ended.returncode == 2
    assert "--nth 0 is below 1" in ended.stderr


def test_of_two_killers_with_one_marker_only_one_kills(tmp_path: Path) -> None:
    deaths: list[str] = []
    killers = [
        Killer(place="p", nth=1, once=tmp_path / "m", die=partial(deaths.append, name))
        for name in ("first", "second")
    ]
    for killer in killers:
        killer("p")
        killer("p")
    assert deaths == ["first"]
