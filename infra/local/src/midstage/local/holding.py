"""One platform per folder: the holder has a lock that the kernel takes back when it dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from midstage.local.errors import PlatformError


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold ``lock`` while the block runs; PlatformError with the holder's pid if it is held."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            holder = file.read().strip() or "unknown"
            raise PlatformError(
                f"{lock.parent} is held by the process with pid {holder}: end it with Ctrl-C or"
                f" kill {holder}, or give this one another folder with --dir"
            ) from e
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
