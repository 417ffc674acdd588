"""What it costs to know 10M events without numbers again; beside a set and a table of SQLite.

``python -m tests.bench.seen ids 100000000 DIRECTORY`` runs one contestant alone, at any size. Each
runs in a process of its own: chunks of 10,000 new ids are asked for and taken in durably (the set
keeps nothing), then the same number of old and new ones is asked for, then it is opened again.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from midstage.stats.adapters.seen import HashFiles
from tests.bench.children import ROOT, module
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved

GROUP: Final = "seen"
OURS, TABLE, SET = "midstage stats", "SQLite", "Python set"
TAKEN: Final = Measure(name="ask for new ids and take them in", unit="ids/s")
ASKED: Final = Measure(name="ask, half are known", unit="ids/s")
RESTART: Final = Measure(name="restart", unit="s", more_is_better=False)
DISK: Final = Measure(name="disk", unit="bytes/id", more_is_better=False)
MEMORY: Final = Measure(name="memory", unit="bytes/id", more_is_better=False)
_CHUNK: Final = 10_000
_ASKED_CHUNKS: Final = 100
_EACH: Final = 50

Hashes = NDArray[np.uint64]


class Held(Protocol):
    """A store of hashes."""

    def take(self, marks: Hashes, row: int) -> int:
        """Ask for them and take in what is new; how many were."""
        ...

    def known(self, marks: Hashes) -> int:
        """How many are held."""
        ...


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Each store on ids of its own; a slow peer has fewer."""
    del bootstrap  # no log is needed to ask what was seen
    ids = {OURS: size.events * _EACH, TABLE: size.peer_events * _EACH, SET: size.events * _EACH}
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_alone, name, count, directory / "seen"))
            for name, count in ids.items()
        ],
        group=GROUP,
        rounds=size.rounds,
    )
    return figures(
        group=GROUP,
        measures=[TAKEN, ASKED, RESTART, DISK, MEMORY],
        taken=taken,
        peers=(TABLE, SET),
        counts={name: f"{count:,} ids" for name, count in ids.items()},
    )


def _alone(name: str, count: int, directory: Path) -> Mapping[str, float]:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    command = module("tests.bench.seen", name, str(count), str(directory))
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


class _Ours:
    def __init__(self, directory: Path, row: int) -> None:
        self._seen = HashFiles(directory, last_row=row, now=lambda: datetime.now(UTC))

    def take(self, marks: Hashes, row: int) -> int:
        fresh = marks[~self._seen.known(marks)]
        self._seen.absorb(fresh, row=row)
        return len(fresh)

    def known(self, marks: Hashes) -> int:
        return int(self._seen.known(marks).sum())

    def mark(self) -> int:
        return self._seen.mark()


class _Table:
    def __init__(self, directory: Path, row: int) -> None:
        del row
        self._db = sqlite3.connect(directory / "seen.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS seen (hash BLOB PRIMARY KEY) WITHOUT ROWID")

    def take(self, marks: Hashes, row: int) -> int:
        del row
        self._db.execute("BEGIN")
        insert = "INSERT OR IGNORE INTO seen VALUES (?)"
        fresh = self._db.executemany(insert, ((one,) for one in _bytes(marks))).rowcount
        self._db.execute("COMMIT")
        return fresh

    def known(self, marks: Hashes) -> int:
        ask = "SELECT 1 FROM seen WHERE hash = ?"
        return sum(self._db.execute(ask, (one,)).fetchone() is not None for one in _bytes(marks))


class _Set:
    def __init__(self, directory: Path, row: int) -> None:
        del directory, row
        self._held: set[bytes] = set()

    def take(self, marks: Hashes, row: int) -> int:
        del row
        before = len(self._held)
        self._held.update(_bytes(marks))
        return len(self._held) - before

    def known(self, marks: Hashes) -> int:
        return sum(one in self._held for one in _bytes(marks))


_STORES: Final[Mapping[str, Callable[[Path, int], Held]]] = {
    OURS: _Ours,
    "ids": _Ours,
    TABLE: _Table,
    SET: _Set,
}


def _bytes(marks: Hashes) -> list[bytes]:
    found: list[bytes] = np.ascontiguousarray(marks).view("V16").ravel().tolist()
    return found


def _chunks(seed: int, chunks: int) -> Iterator[Hashes]:
    for number in range(chunks):
        random = np.random.default_rng([seed, number])
        yield random.integers(0, 2**64, (_CHUNK, 2), np.uint64)


def _measured(name: str, count: int, directory: Path) -> Mapping[str, float]:
    chunks = max(1, count // _CHUNK)
    begun_bytes = _resident()
    held = _STORES[name](directory, 0)
    taken_s = 0.0
    for number, marks in enumerate(_chunks(1, chunks)):
        begin = time.perf_counter()
        fresh = held.take(marks, number + 1)
        taken_s += time.perf_counter() - begin
        assert fresh == _CHUNK, f"{_CHUNK - fresh} new ids were taken for old ones"
    found = {
        TAKEN.name: chunks * _CHUNK / taken_s,
        MEMORY.name: (_resident() - begun_bytes) / (chunks * _CHUNK),
        ASKED.name: _asking(held, chunks),
    }
    if not isinstance(held, _Set):
        size = sum(file.stat().st_size for file in directory.iterdir())
        found[DISK.name] = size / (chunks * _CHUNK)
        found[RESTART.name] = _restart(name, directory, chunks)
    return found


def _asking(held: Held, chunks: int) -> float:
    olds, news = _chunks(1, min(chunks, _ASKED_CHUNKS)), _chunks(2, min(chunks, _ASKED_CHUNKS))
    asked_s, asked, known = 0.0, 0, 0
    for old, new in zip(olds, news, strict=True):
        both = np.concatenate((old, new))
        begin = time.perf_counter()
        known += held.known(both)
        asked_s += time.perf_counter() - begin
        asked += len(both)
    assert known * 2 == asked, f"{known} of {asked} are known, half of them should be"
    return asked / asked_s


def _restart(name: str, directory: Path, chunks: int) -> float:
    begin = time.perf_counter()
    held = _STORES[name](directory, chunks)
    if isinstance(held, _Ours):  # what the ledger would be asked for, without the ledger
        for number, marks in enumerate(_chunks(1, chunks)):
            if number >= held.mark():
                held.take(marks, number + 1)
    held.known(next(_chunks(1, 1)))
    return time.perf_counter() - begin


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: Sequence[str]) -> None:
    """One contestant alone; its values as JSON on stdout."""
    name, count, directory = arguments
    Path(directory).mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"{json.dumps(_measured(name, int(count), Path(directory)))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
