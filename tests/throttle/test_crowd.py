"""Callers who are connected at once, more than a shell lets a process have open."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALLERS = 1_000


@pytest.mark.slow
def test_all_who_are_connected_at_once_are_answered() -> None:
    command = [sys.executable, "-m", "tests.throttle.crowd", str(CALLERS)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.stdout, done.returncode) == (f"{CALLERS}\n", 0), done.stderr[-2_000:]
