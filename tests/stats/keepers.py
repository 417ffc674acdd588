"""Who keeps a ledger for the conformance suite, of each implementation.

A ``Keeper`` opens what was kept, lets it die at a named place, and looks at its rows and sums.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import duckdb

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.stats.adapters.duckdb import DuckdbLedger
from midstage.stats.adapters.rows import beside, held
from midstage.stats.adapters.segments import LEAST
from midstage.stats.stream.counting import Ledger

from .conftest import NOON
from .memory import MemoryLedger

_SUMS = "SELECT kind, name, sum(amount) FROM minutes GROUP BY ALL"


class Keeper(Protocol):
    """Keeps a ledger while processes come and go."""

    def opened(self, reached: Failpoint = nothing) -> Ledger:
        """The ledger as a new process finds it."""
        ...

    def rows(self) -> Sequence[tuple[int, str, int | None, str]]:
        """Number, source, seq and id of each row, in order; of the ledger that is open."""
        ...

    def sums(self) -> Mapping[tuple[str, str], int]:
        """All partial sums added up by kind and name."""
        ...

    def closed(self) -> None:
        """Let go of the ledger."""
        ...


@dataclass
class InMemory:
    """A process's death takes nothing: only what was committed is in the object."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def opened(self, reached: Failpoint = nothing) -> Ledger:
        self.ledger.reached = reached
        return self.ledger

    def rows(self) -> Sequence[tuple[int, str, int | None, str]]:
        if not self.ledger.parts:
            return []
        held = self.ledger.rows
        columns = zip(held.source, held.seq.tolist(), held.id, strict=True)
        return [(n, source, seq or None, name) for n, (source, seq, name) in enumerate(columns, 1)]

    def sums(self) -> Mapping[tuple[str, str], int]:
        return self.ledger.total()

    def closed(self) -> None:
        pass


@dataclass
class InFile:
    """A ledger file; a process that died is one whose connection was closed without a word."""

    file: Path
    segment_rows: int = LEAST
    ledger: DuckdbLedger | None = None

    def opened(self, reached: Failpoint = nothing) -> Ledger:
        self.closed()
        self.ledger = DuckdbLedger(
            self.file,
            now=lambda: NOON,
            memory_mb=128,
            segment_rows=self.segment_rows,
            reached=reached,
        )
        return self.ledger

    def rows(self) -> Sequence[tuple[int, str, int | None, str]]:
        with self._looking() as db:
            rows = held(db, beside(self.file))
            return db.execute(f"SELECT row, source, seq, id FROM {rows} ORDER BY row").fetchall()

    def sums(self) -> Mapping[tuple[str, str], int]:
        with self._looking() as db:
            found = db.execute(_SUMS).fetchall()
        return {(kind, name): int(amount) for kind, name, amount in found}

    def closed(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
            self.ledger = None

    @contextmanager
    def _looking(self) -> Iterator[duckdb.DuckDBPyConnection]:
        assert self.ledger is not None
        with self.ledger.writing() as writing:
            yield writing.db
