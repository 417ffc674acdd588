"""What the stories of seen events are told with: a ledger of hashes, and a process that dies."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from midstage.eventlog.failpoint import nothing
from midstage.stats.adapters.seen import HashFiles
from midstage.testkit.clock import FrozenClock

Hashes = NDArray[np.uint64]


class DeadError(Exception):
    """The process died here."""


def hashes(names: Iterable[int]) -> Hashes:
    digests = [hashlib.blake2b(str(name).encode(), digest_size=16).digest() for name in names]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)


@dataclass(kw_only=True)
class Shelf:
    """One folder of hash files beside a ledger that commits before they absorb."""

    folder: Path
    ledger: str = ""
    seal_at: int = 8
    clock: FrozenClock = field(default_factory=FrozenClock)
    rows: list[Hashes] = field(default_factory=list)
    left_upto: int = 0
    seen: HashFiles = field(init=False)
    dies_at: str = ""

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new process: what lies above the mark is read from the ledger again."""
        self.seen = HashFiles(
            self.folder,
            ledger=self.ledger,
            last_row=len(self.rows),
            left_upto=self.left_upto,
            now=self.clock.now,
            reached=self._reached,
            seal_at=self.seal_at,
        )
        for row in range(self.seen.mark(), len(self.rows)):
            self.seen.absorb(self.rows[row], row=row + 1)

    def commit(self, names: Iterable[int]) -> None:
        """A commit of one row, which stands for these; then they are absorbed."""
        self.rows.append(hashes(names))
        self.seen.absorb(self.rows[-1], row=len(self.rows))

    def commit_and_die(self, names: Iterable[int], place: str) -> bool:
        """Whether the process died at the place, and was restarted."""
        self.dies_at = place
        died = False
        try:
            self.commit(names)
        except DeadError:
            died = True
        self.dies_at = ""
        if died:
            self.start()
        return died

    def known(self, names: Iterable[int]) -> list[bool]:
        found: list[bool] = self.seen.known(hashes(names)).tolist()
        return found

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.seen"))

    def days_later(self, days: int) -> None:
        self.clock.advance(timedelta(days=days))

    def _reached(self, place: str) -> None:
        if place == self.dies_at:
            raise DeadError(place)


Damage = Callable[[Path], None]


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def one_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[520] ^= 1
    file.write_bytes(content)


def its_header(file: Path) -> None:
    """All that follows stays where it was."""
    content = file.read_bytes()
    at = content.index(b'"upto":') + len(b'"upto":')
    file.write_bytes(content[:at] + b"9" + content[at + 1 :])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


__all__ = ["Damage", "Shelf", "emptied", "half", "hashes", "its_header", "nothing", "one_bit"]
