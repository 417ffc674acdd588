import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from midstage.testkit.kill import Killer, ordered

SERVICE = """
import sys
import time

def main(env, *, reached):
    for turn in range(1, 4):
        print("turn", turn, flush=True)
        reached("elsewhere")
        reached("between")
    return int(env["EXIT"])
"""


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "victim.py").write_text(SERVICE)
    arguments = ["--order", str(directory / "order")]
    return subprocess.run(
        [sys.executable, "-m", "midstage.testkit.kill", *arguments, "--", "victim"],
        env={**os.environ, "PYTHONPATH": str(directory), "EXIT": "7"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_a_process_dies_at_the_nth_time_and_its_successor_lives(tmp_path: Path) -> None:
    ordered(tmp_path / "order", "between", nth=2)
    first, second = run(tmp_path), run(tmp_path)
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "turn 1\nturn 2\n")
    assert (second.returncode, second.stdout) == (7, "turn 1\nturn 2\nturn 3\n")
    assert not (tmp_path / "order").exists()


@pytest.mark.slow
def test_a_place_reached_too_seldom_kills_nobody(tmp_path: Path) -> None:
    ordered(tmp_path / "order", "between", nth=4)
    assert run(tmp_path).returncode == 7
    assert (tmp_path / "order").exists()


def test_without_an_order_nobody_dies_and_a_later_order_is_followed(tmp_path: Path) -> None:
    deaths: list[str] = []
    killer = Killer(order=tmp_path / "order", die=partial(deaths.append, "dead"))
    killer("p")
    assert deaths == []
    ordered(tmp_path / "order", "p")
    killer("q")
    assert deaths == []
    killer("p")
    assert deaths == ["dead"]


def test_of_two_killers_with_one_order_only_one_kills(tmp_path: Path) -> None:
    deaths: list[str] = []
    ordered(tmp_path / "order", "p", nth=2)
    killers = [
        Killer(order=tmp_path / "order", die=partial(deaths.append, name))
        for name in ("first", "second")
    ]
    for _ in range(2):
        for killer in killers:
            killer("p")
    assert deaths == ["first"]


def test_a_death_can_wait_until_others_have_gone_on(tmp_path: Path) -> None:
    deaths: list[float] = []
    ordered(tmp_path / "order", "p", after_s=0.05)
    begun = time.monotonic()
    Killer(order=tmp_path / "order", die=lambda: deaths.append(time.monotonic() - begun))("p")
    assert deaths[0] >= 0.05


@pytest.mark.slow
def test_who_stops_at_a_place_goes_on_from_there_when_woken(tmp_path: Path) -> None:
    (tmp_path / "victim.py").write_text(SERVICE)
    ordered(tmp_path / "stop", "between", nth=2)
    orders = ["--order", str(tmp_path / "order"), "--stop", str(tmp_path / "stop")]
    process = subprocess.Popen(
        [sys.executable, "-m", "midstage.testkit.kill", *orders, "--", "victim"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "EXIT": "7"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, said) == (7, "turn 1\nturn 2\nturn 3\n")
