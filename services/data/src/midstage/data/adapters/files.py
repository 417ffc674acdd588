"""Files that appear whole or not at all, and are removed only when nobody reads them.

A draft is written beside, made durable, then renamed. A file that is to go is unlinked when the
last reader that may have it in its list has ended.
"""

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = ".draft"


class Files:
    """The files under one directory; any number of threads read, one writes and removes."""

    def __init__(self, directory: Path) -> None:
        """Make the directory where it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock = threading.Lock()
        self._readers = 0
        self._doomed: set[Path] = set()

    def path(self, name: str) -> Path:
        """Where the file of that name stands."""
        return self.directory / name

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What stands in the directory when this begins is there until it ends."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
            self._sweep()

    def remove(self, names: Iterable[str]) -> None:
        """Remove the files as soon as nobody reads."""
        with self._lock:
            self._doomed.update(self.path(name) for name in names)
        self._sweep()

    def _sweep(self) -> None:
        with self._lock:
            if self._readers:
                return
            for path in self._doomed:
                path.unlink(missing_ok=True)
            self._doomed.clear()


def draft_of(path: Path) -> Path:
    """Where what will be ``path`` is written first."""
    return path.with_name(f"{path.name}{DRAFT}")


def durable(path: Path) -> None:
    """Return when the file's bytes (a directory's entries) are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(draft: Path, path: Path) -> None:
    """Let the draft appear as ``path``, durably."""
    durable(draft)
    draft.replace(path)
    durable(path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a small file that appears whole or not at all."""
    draft = draft_of(path)
    draft.write_bytes(content)
    publish(draft, path)


def digest(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
