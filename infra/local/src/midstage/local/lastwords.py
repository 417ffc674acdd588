"""The end of a child's log, short enough for an error message."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

_BYTES = 64 * 1024
_LINES = 5
_WIDTH = 300
_SAID = ("event", "error", "reason")


def last_words(log: Path) -> str:
    """The file's name and its last lines; of our own JSON lines only what a person reads first."""
    if not log.exists():
        return f"{log} is empty"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    said = [_short(line) for line in lines if line.strip()][-_LINES:]
    return "\n  ".join([f"see {log}", *said])


def _short(line: str) -> str:
    try:
        fields = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError:
        return line[:_WIDTH]
    return _words(fields)[:_WIDTH] or line[:_WIDTH]


def _words(fields: Mapping[str, object]) -> str:
    return ": ".join(" ".join(str(fields[name]).split()) for name in _SAID if name in fields)
