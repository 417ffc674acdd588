"""Turns a failpoint into a death: runs a service that kills itself with -9 at a named place.

``python -m midstage.testkit.kill --at PLACE --nth N --once MARKERFILE -- midstage.stats.main``
imports that module and calls ``main(os.environ, reached=killer)``. The marker is written before
the kill and a killer that finds it does nothing, so the restarted process lives on.
"""

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Main(Protocol):
    """A service's ``main``, as the brief of every service has it."""

    def __call__(self, env: Mapping[str, str], *, reached: Callable[[str], None]) -> int:
        """Run the service and give its exit code."""
        ...


class Killer:
    """A failpoint: ends its process at the ``nth`` time that ``place`` is reached, once ever."""

    def __init__(
        self, *, place: str, nth: int, once: Path, die: Callable[[], None] | None = None
    ) -> None:
        """Watch for ``place``; ``die`` is SIGKILL on itself unless a test gives another."""
        self._place = place
        self._left = nth
        self._once = once
        self._die = die or _die
        self._lock = threading.Lock()

    def __call__(self, place: str) -> None:
        """Note that ``place`` was reached."""
        if place != self._place:
            return
        with self._lock:
            self._left -= 1
            due = self._left == 0
        if due and self._claimed():
            self._die()

    def _claimed(self) -> bool:
        """Whether this process is the one that may die: the marker is made by one alone."""
        try:
            marker = os.open(self._once, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        with os.fdopen(marker, "w", encoding="utf-8") as out:
            out.write(f"{os.getpid()} {self._place}\n")
            out.flush()
            os.fsync(out.fileno())
        return True


def run(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the module that the arguments name under a killer; its exit code."""
    parser = argparse.ArgumentParser(prog="midstage.testkit.kill")
    parser.add_argument("--at", required=True, help="the failpoint, like ledger:inserted")
    parser.add_argument("--nth", type=int, default=1, help="die at the nth time it is reached")
    parser.add_argument("--once", type=Path, required=True, help="marker: written, then no more")
    parser.add_argument("module", help="the module whose main(env, reached=...) is run")
    asked = parser.parse_args(arguments)
    if asked.nth < 1:
        parser.error(f"--nth {asked.nth} is below 1")
    main: Main = importlib.import_module(asked.module).main
    return main(env, reached=Killer(place=asked.at, nth=asked.nth, once=asked.once))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], os.environ))
