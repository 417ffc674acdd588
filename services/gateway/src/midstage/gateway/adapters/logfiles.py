"""The request log's files: one per start of Envoy and per rotation, each one source.

``current.jsonl`` is a symbolic link; Envoy opens it and so creates the file it names. A file is
closed when a newer one exists, because Envoy creates the newer one after it let go of the older,
and a supervisor starts an Envoy only after the one before has ended. Names sort by age.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from midstage.gateway.adapters.files import sync_directory
from midstage.gateway.model.shipping import LogFile

CURRENT = "current.jsonl"
_SUFFIX = ".jsonl"
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-[0-9a-f]{6}\.jsonl")
_TIME = "%Y%m%dT%H%M%S.%fZ"


def begin(log_dir: Path, at: datetime) -> Path:
    """Point ``current.jsonl`` at a new name, later than every name before; Envoy makes the file.

    The supervisor calls this before each start of Envoy, gateway before ``POST /reopen_logs``.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    newest = max(_names(log_dir), default=None)
    begins = at.astimezone(UTC)
    if newest is not None:
        begins = max(begins, _begun(newest) + timedelta(microseconds=1))
    name = f"{begins.strftime(_TIME)}-{secrets.token_hex(3)}{_SUFFIX}"
    draft = log_dir / f".{CURRENT}.{secrets.token_hex(6)}"
    draft.symlink_to(name)
    draft.replace(log_dir / CURRENT)
    sync_directory(log_dir)
    return log_dir / name


class LogFiles:
    """The files of one directory as the shipper sees them."""

    def __init__(self, log_dir: Path) -> None:
        """Look into ``log_dir``; it need not exist yet."""
        self._dir = log_dir

    def opened(self) -> Sequence[LogFile]:
        """All files that Envoy has made, the oldest first; all but the last are closed."""
        names = sorted(name for name in _names(self._dir) if (self._dir / name).is_file())
        return [
            LogFile(
                stem=name.removesuffix(_SUFFIX),
                begun=_begun(name),
                closed=name != names[-1],
            )
            for name in names
        ]

    def wanted(self) -> bool:
        """Whether ``current.jsonl`` names a file that Envoy has not made yet."""
        link = self._dir / CURRENT
        return link.is_symlink() and not link.exists()

    def named(self) -> str:
        """The stem that ``current.jsonl`` names; empty where there is no such link."""
        link = self._dir / CURRENT
        return link.readlink().name.removesuffix(_SUFFIX) if link.is_symlink() else ""

    def rotate(self, at: datetime) -> None:
        """Name a new file; it begins when Envoy is told to open its logs again."""
        begin(self._dir, at)

    def size(self, stem: str) -> int:
        """Bytes in the file; 0 where it is gone."""
        try:
            return (self._dir / f"{stem}{_SUFFIX}").stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, stem: str, *, offset: int, most: int) -> bytes:
        """Up to ``most`` bytes from ``offset``; none where the file is gone or ends there."""
        try:
            with (self._dir / f"{stem}{_SUFFIX}").open("rb") as file:
                file.seek(offset)
                return file.read(most)
        except FileNotFoundError:
            return b""

    def delete(self, stem: str) -> None:
        """Remove the file; nothing happens where it is gone."""
        (self._dir / f"{stem}{_SUFFIX}").unlink(missing_ok=True)


def _names(log_dir: Path) -> Sequence[str]:
    """Every name that we made: of the files, and the one that the link points at."""
    found = [entry.name for entry in log_dir.iterdir()] if log_dir.is_dir() else []
    link = log_dir / CURRENT
    named = [link.readlink().name] if link.is_symlink() else []
    return [name for name in {*found, *named} if _is_ours(name)]


def _is_ours(name: str) -> bool:
    try:
        _begun(name)
    except ValueError:
        return False
    return True


def _begun(name: str) -> datetime:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is no name of a request log file")
    return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
