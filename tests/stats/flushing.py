"""What reaches the disk, and when: a kill can't show it, for then the system still writes it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Diary:
    """Names of what was flushed, and of the places that were reached, in their order."""

    lines: list[str] = field(default_factory=list)

    def reached(self, place: str) -> None:
        self.lines.append(place)

    def flushed(self, number: int) -> None:
        self.lines.append(Path(f"/proc/self/fd/{number}").readlink().name)

    def upto(self, place: str) -> list[str]:
        """What stands before the first ``place``."""
        return self.lines[: self.lines.index(place)]


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    """Of this process; it still flushes."""
    diary, flush = Diary(), os.fsync

    def fsync(number: int) -> None:
        flush(number)
        diary.flushed(number)

    monkeypatch.setattr(os, "fsync", fsync)
    return diary
