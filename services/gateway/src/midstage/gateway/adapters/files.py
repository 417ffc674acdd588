"""Files that others watch: replaced whole by a rename, on disk before the name points at them."""

import os
import secrets
from pathlib import Path

PRIVATE = 0o600


def replace(file: Path, content: bytes) -> None:
    """Make ``file`` hold ``content``: a reader sees the old or the new, never a part; mode 0600."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        write(draft, content)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(file.parent)


def create(file: Path, content: bytes) -> None:
    """Make ``file`` with ``content``, whole; FileExistsError where somebody was first."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        write(draft, content)
        os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(file.parent)


def write(file: Path, content: bytes) -> None:
    """A new file with ``content``, on disk."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def sync_directory(directory: Path) -> None:
    """Put the directory's names on disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
