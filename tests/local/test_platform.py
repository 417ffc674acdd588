import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from midstage.local.addresses import Addresses
from midstage.local.platform import STOPS
from tests import patient

pytestmark = [pytest.mark.platform, pytest.mark.slow]

SERVICES = 10
"""Processes beside the caller and the pods."""
UP = "import typer; from midstage.local import up; app = typer.Typer(); up.register(app); app()"


def children(pid: int) -> list[int]:
    """All descendants: the services, and the pods of the local cluster."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def await_gone(pids: list[int], *, within_s: float) -> None:
    """Who was killed last may need a moment to be gone."""
    deadline = time.monotonic() + within_s
    while left := alive(pids):
        assert time.monotonic() < deadline, f"{left} still run after {within_s} s"
        time.sleep(0.02)


def started(directory: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", UP, "--dir", str(directory), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def await_line(process: "subprocess.Popen[str]", text: str) -> list[str]:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"{text!r} was never said: {''.join(lines)}")


def test_whoever_does_not_stop_is_given_10_s_in_all() -> None:
    assert sum(within_s for _, within_s in STOPS) <= 10


def test_ctrl_c_stops_all_and_what_was_counted_stays(tmp_path: Path) -> None:
    first = started(tmp_path, "--requests", "40", "--speed", "40")
    said = await_line(first, "Ctrl-C stops all")
    assert f"midstage get apps --dir {tmp_path}" in "".join(said)
    addresses = msgspec.json.decode((tmp_path / "platform.json").read_bytes(), type=Addresses)
    # a stranger's request to a port that happens to be Envoy's now is a row, too
    of_replays = f"{addresses.stats}/v1/requests?ref_prefix=r"
    token = Path(addresses.token_file).read_text(encoding="ascii").strip()
    assert patient.get(of_replays).status_code == 401
    known = {"authorization": f"Bearer {token}"}
    rows = patient.get(of_replays, headers=known).json()["requests"]
    assert len(rows) == 40, rows
    pids = children(first.pid)
    assert len(pids) >= SERVICES + 2
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode == 0
    await_gone(pids, within_s=60)

    report = tmp_path / "report.json"
    options = ("--requests", "40", "--speed", "40", "--exit", "--report", str(report))
    again = started(tmp_path, *options)
    out, err = again.communicate(timeout=500)
    assert again.returncode == 0, err
    assert msgspec.json.decode(report.read_bytes())["ledger"] == 40
    assert "offered" in out


def test_nothing_survives_kill_9_of_midstage_up(tmp_path: Path) -> None:
    process = started(tmp_path, "--requests", "1000", "--speed", "40")
    await_line(process, "offered/s")
    pids = children(process.pid)
    assert len(pids) >= SERVICES + 3
    process.kill()
    process.communicate()
    await_gone(pids, within_s=60)


def test_ctrl_c_twice_during_the_start_undoes_it_whole(tmp_path: Path) -> None:
    process = started(tmp_path, "--requests", "1")
    await_line(process, "kafka is ready")
    pids = children(process.pid)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    said = [line.split(" s  ")[-1] for line in err.splitlines()]
    assert said[-2:] == ["stopping", "everything is stopped"]
    await_gone(pids, within_s=60)
