"""Turns a failpoint into a death: runs a service that kills itself with -9 at a named place.

``python -m midstage.testkit.kill --order FILE -- midstage.stats.main`` imports that module and
calls ``main(os.environ, reached=killer)``. As long as FILE is there and says ``PLACE NTH AFTER_S``,
the process dies at the nth time that it reaches the place, AFTER_S seconds later: meanwhile the
thread that came there stands still, and the others (a client's, say) go on. The order is removed
before the death, so the restarted process lives on, until a test writes the next order.

With ``--stop FILE`` a second order lets it stand still (SIGSTOP) instead, until it is woken by
SIGCONT and goes on from there, with all that it had in its hands.
"""

import argparse
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Main(Protocol):
    """A service's ``main``, as every service has it."""

    def __call__(self, env: Mapping[str, str], *, reached: Callable[[str], None]) -> int:
        """Run the service and give its exit code."""
        ...


class Killer:
    """A failpoint: ends its process as the order in a file says, once for each order."""

    def __init__(self, *, order: Path, die: Callable[[], None] | None = None) -> None:
        """Follow the order file; ``die`` is SIGKILL on itself unless a test gives another."""
        self._order = order
        self._reached = 0
        self._die = die or _die
        self._lock = threading.Lock()

    def __call__(self, place: str) -> None:
        """Note that ``place`` was reached."""
        with self._lock:
            wanted, nth, after_s = _read(self._order)
            if place != wanted:
                return
            self._reached += 1
            due = self._reached >= nth
        if due and self._claimed():
            time.sleep(after_s)
            self._die()

    def _claimed(self) -> bool:
        """Whether this process is the one that may die: the order is removed by one alone."""
        self._reached = 0
        try:
            self._order.unlink()
        except FileNotFoundError:
            return False
        return True


def ordered(order: Path, place: str, *, nth: int = 1, after_s: float = 0.0) -> None:
    """Write the order to die ``after_s`` after ``place`` is reached the ``nth`` time from now."""
    draft = order.with_name(f"{order.name}.draft")
    draft.write_text(f"{place} {nth} {after_s}\n")
    draft.rename(order)


def run(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the module that the arguments name under a killer; its exit code."""
    parser = argparse.ArgumentParser(prog="midstage.testkit.kill")
    parser.add_argument("--order", type=Path, required=True, help="file: 'PLACE NTH AFTER_S'")
    parser.add_argument("--stop", type=Path, help="a second order file: stop there (SIGSTOP)")
    parser.add_argument("module", help="the module whose main(env, reached=...) is run")
    asked = parser.parse_args(arguments)
    main: Main = importlib.import_module(asked.module).main
    killers = [Killer(order=asked.order)]
    if asked.stop is not None:
        killers.append(Killer(order=asked.stop, die=_stand_still))
    return main(env, reached=lambda place: _told(killers, place))


def _read(order: Path) -> tuple[str, int, float]:
    try:
        place, nth, after_s = order.read_text().split()
    except FileNotFoundError:
        return "", 0, 0.0
    return place, int(nth), float(after_s)


def _told(killers: Sequence[Killer], place: str) -> None:
    for killer in killers:
        killer(place)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stand_still() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], os.environ))
