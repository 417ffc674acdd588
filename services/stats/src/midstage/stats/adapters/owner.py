"""Take a ledger over from a stats of this machine that still holds it, stopped or hung.

It is killed first, so that there are never two owners: a stopped one would go on where it was.
It is killed only when it is seen to be a stats on this very file; whoever else holds it is left
alone.
"""

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from midstage.chassis.logs import logger
from midstage.contracts.errors import UnavailableError
from midstage.stats.adapters.schema import HeldError

_WITHIN_MS = 10_000
_MODULE = b"midstage.stats.main"
_PROCESSES = Path("/proc")
_log = logger(__name__)

T = TypeVar("T")


def owned(opened: Callable[[], T], file: Path, *, take_over: bool) -> T:
    """What ``opened`` gives; where another stats has ``file`` and we may, it is killed first.

    Raises UnavailableError where the file is held and can't be taken over.
    """
    try:
        return opened()
    except HeldError as held:
        if not take_over:
            raise
        _end(held, file)
    return opened()


def _end(held: HeldError, file: Path) -> None:
    if held.pid is None or held.pid == os.getpid():
        raise held
    try:
        handle = os.pidfd_open(held.pid)  # from here on the pid can't become another process's
    except OSError as error:
        raise UnavailableError(f"{held}; it can't be taken over: {error}") from error
    try:
        _same(held, file)
        _log.warning("ledger_taken_over", file=str(file), pid=held.pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        if not ended.poll(_WITHIN_MS):
            raise UnavailableError(f"{held}; it was killed, but has not ended")
    finally:
        os.close(handle)


def _same(held: HeldError, file: Path) -> None:
    """It must run our main module and have this file open, as the system tells."""
    process = _PROCESSES / str(held.pid)
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        files = {os.path.realpath(link) for link in (process / "fd").iterdir()}
    except OSError as error:
        raise UnavailableError(f"{held}; who that is can't be read: {error}") from error
    if _MODULE not in words or str(file.resolve()) not in files:
        raise UnavailableError(f"{held}; that is no stats on this file, so it is left alone")
