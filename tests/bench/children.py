"""Child processes of the bench: each ends with its parent, errors tell its last words."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from midstage.local.leash import leashed

ROOT = Path(__file__).resolve().parents[2]
_STOP_WITHIN_S = 10.0
_READY_WITHIN_S = 30.0
_LAST = 800
T = TypeVar("T")


def told(command: Sequence[str], type_: type[T], *, name: str, within_s: float) -> T:
    """What a child that measures itself printed, in JSON; RuntimeError with its last words."""
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=within_s
    )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip()[-_LAST:]}")
    return msgspec.json.decode(done.stdout, type=type_)


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A child for as long as the block runs, its output in ``log``, its stdout ours to read."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        child = subprocess.Popen(
            leashed(command),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def module(name: str, *arguments: str) -> list[str]:
    """The command line that runs a module of this checkout with the same Python."""
    return [sys.executable, "-m", name, *arguments]


def await_ready(
    unready: Callable[[], str | None], *, child: "subprocess.Popen[str]", log: Path
) -> None:
    """Return once ``unready`` has no reason any more; an error that names it and the log else."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while (reason := unready()) is not None:
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{reason}; its last words: {last_words(log)}")
        time.sleep(0.05)


def last_words(log: Path) -> str:
    """The end of a child's log, for an error: the file itself goes with the bench's directory."""
    return log.read_text(errors="replace").strip()[-_LAST:]
