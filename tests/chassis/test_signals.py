"""A signal comes whenever it likes: in the middle of a log line too."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import io, os, signal, sys
from midstage.chassis import logs
from midstage.chassis.process import Process

class Stderr(io.RawIOBase):
    left = {signals}
    def writable(self):
        return True
    def write(self, line):
        written = os.write(2, line)
        if b'"event":"{event}' in bytes(line) and self.left:
            os.kill(os.getpid(), self.left.pop(0))
        return written

class Waiting:
    name = "waiting"
    def run(self, stop):
        {run}

sys.stderr = io.TextIOWrapper(io.BufferedWriter(Stderr()), line_buffering=True)
logs.configure(service="tale")
process = Process(service="tale", app=None, host="", port=0, loops=[Waiting()], stop_within_s=60)
sys.exit(process.run())
"""


def ended(event: str, *signals: str, run: str = "stop.wait()") -> tuple[int, list[str]]:
    """The exit code and the events of a process that hears them just as it writes ``event``."""
    named = ", ".join(f"signal.{name}" for name in signals)
    script = SCRIPT.format(event=event, signals=f"[{named}]", run=run)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, timeout=120, check=False
    )
    return done.returncode, [json.loads(line)["event"] for line in done.stderr.splitlines()]


def test_a_stop_that_is_asked_for_while_a_line_is_written_is_orderly() -> None:
    code, events = ended("started", "SIGTERM")
    assert code == 0
    assert sorted(events) == ["signalled", "started", "stopped", "stopping"]


def test_a_second_signal_while_a_line_is_written_ends_at_once() -> None:
    code, events = ended(
        "st", "SIGTERM", "SIGINT", run="import threading; threading.Event().wait()"
    )
    assert code == 1
    assert "stop_forced" in events
