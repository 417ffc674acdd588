"""``go build`` with low priority, telling every few seconds how far it is; it dies with us."""

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from midstage.local.errors import PlatformError
from midstage.local.leash import leashed

SAY_EVERY_S = 10.0
_LAST_LINES = 6


def compiled(
    command: Sequence[str],
    *,
    what: str,
    within: Path,
    env: Mapping[str, str],
    say: Callable[[str], None],
    say_every_s: float = SAY_EVERY_S,
) -> None:
    """Build ``what`` in the folder ``within``; PlatformError with its last words when it fails.

    Each line it prints names what was fetched or compiled (``go build -v``).
    """
    nice = shutil.which("nice")
    gentle = [nice, "-n", "10", *command] if nice else list(command)
    process = subprocess.Popen(
        leashed(gentle),
        cwd=within,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with _ended(process):
        last = _followed(process, what=what, say=say, say_every_s=say_every_s)
    if process.returncode:
        raise PlatformError(
            f"{what} could not be built ({' / '.join(last)[-500:]}):"
            " check the network to the Go module proxy and the room on the disk, and run again"
        )


def _followed(
    process: "subprocess.Popen[str]", *, what: str, say: Callable[[str], None], say_every_s: float
) -> Sequence[str]:
    """Read to the end, and tell on the way; the last lines."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    last: deque[str] = deque(maxlen=_LAST_LINES)
    began = time.monotonic()
    due, done = say_every_s, 0
    while True:
        try:
            line = lines.get(timeout=max(0.0, began + due - time.monotonic()))
        except queue.Empty:
            passed = time.monotonic() - began
            say(f"building {what}: {passed:.0f} s, {done} packages, {last[-1] if last else '-'}")
            due = passed + say_every_s
            continue
        if line is None:
            return last
        done += not line.startswith("go: ")
        last.append(line)


def _read(output: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    for line in output:
        lines.put(line.strip())
    lines.put(None)


@contextlib.contextmanager
def _ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Leave no compiler behind when the block is left by an error or Ctrl-C."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        process.wait()
