"""What is fetched is proven by its pinned SHA-256 and kept in the cache, complete or not at all.

A folder is filled beside its place, checked, then renamed: two processes that fetch at once do no
harm, and a download that breaks off leaves nothing behind that a later run could take for whole.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from midstage.local.errors import PlatformError

ROOM_BYTES = 2 * 1024**3
"""What the cache, the log and the ledger of a first run need."""


def cache() -> Path:
    """Where fetched files live: ``MIDSTAGE_CACHE``, else ``~/.cache/midstage``."""
    given = os.environ.get("MIDSTAGE_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "midstage"


def folder(
    name: str, *, within: Path, fill: Callable[[Path], None], check: Callable[[Path], None]
) -> Path:
    """The folder ``name`` of the cache ``within``, filled at its first use and checked at each."""
    target = within / name
    if target.is_dir():
        check(target)
        return target
    within.mkdir(parents=True, exist_ok=True)
    require_room(within)
    with tempfile.TemporaryDirectory(
        prefix=f".{name}-", dir=within, ignore_cleanup_errors=True
    ) as aside:
        fresh = Path(aside) / name
        fresh.mkdir()
        fill(fresh)
        check(fresh)
        _settle(fresh, target)
    return target


def verify(at: Path, hashes: Mapping[str, str]) -> None:
    """Refuse a folder in which one of the named files is missing or not what was pinned."""
    for name, expected in hashes.items():
        file = at / name
        if not file.is_file():
            raise PlatformError(f"{file} is missing: delete {at} and run again to fetch it anew")
        if digest(file) != expected:
            raise PlatformError(
                f"{file} is not the pinned file (SHA-256 {digest(file)[:12]}… instead of"
                f" {expected[:12]}…): delete {at} and run again to fetch it anew"
            )


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def require_room(at: Path, *, least: int = ROOM_BYTES) -> None:
    """Refuse to start on a disk that would fill up."""
    free = shutil.disk_usage(at).free
    if free < least:
        raise PlatformError(
            f"the disk of {at} has {free / 1024**3:.1f} GB free and {least / 1024**3:.0f} GB are"
            " needed: free some room, or name another place with MIDSTAGE_CACHE or --dir"
        )


def _settle(fresh: Path, target: Path) -> None:
    try:
        fresh.rename(target)
    except OSError:
        if not target.is_dir():
            raise  # else another process was first, and its folder passed the same check
