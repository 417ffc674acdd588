"""A ledger in memory that keeps the same promises as the one in a file: the verified fake."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from midstage.eventlog.failpoint import Failpoint, nothing
from midstage.eventlog.log import Partition
from midstage.stats.decide import hashes
from midstage.stats.model import (
    NO_HASHES,
    Batch,
    Committed,
    Hashes,
    Outgoing,
    OutOfStepError,
    Rows,
    Source,
    Sums,
)

AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class MemoryLedger:
    """Implements ``counting.Ledger``; what tests look at is public."""

    def __init__(self) -> None:
        self.reached: Failpoint = nothing
        self.parts: list[Rows] = []
        self.held: dict[str, Source] = {}
        self.sums: list[tuple[int, Sums]] = []
        self.version = 0
        self._row = 0
        self._positions: dict[Partition, int] = {}
        self._outbox: list[Outgoing] = []
        self._sent = 0

    @property
    def rows(self) -> Rows:
        return Rows.joined(self.parts)

    @property
    def micros(self) -> Counter[str]:
        return self._total("unit")

    @property
    def outcomes(self) -> Counter[str]:
        return self._total("outcome")

    def positions(self) -> Mapping[Partition, int]:
        return dict(self._positions)

    def row(self) -> int:
        return self._row

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        return {name: self.held[name] for name in names & self.held.keys()}

    def unnumbered(self, after_row: int) -> Hashes:
        if not self.parts:
            return NO_HASHES
        first = int((self.rows.seq[:after_row] == 0).sum())
        return hashes(self.rows)[first:]

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        for partition, begin in begins.items():
            if self._positions.get(partition, begin) != begin:
                raise OutOfStepError(f"{partition} does not begin at {begin}")
        self.reached("ledger:inserted")
        self.version += 1
        self._row += len(batch.rows)
        self.parts.append(batch.rows)
        self.held.update((source.name, source) for source in batch.sources)
        self.sums.append((self.version, batch.sums))
        self._outbox.extend(batch.outgoing)
        self._positions.update(ends)
        self.reached("ledger:committed")
        return Committed(version=self.version, row=self._row, at=AT)

    def unsent(self, most: int) -> Sequence[tuple[int, Outgoing]]:
        waiting = self._outbox[self._sent : self._sent + most]
        return list(enumerate(waiting, self._sent + 1))

    def sent(self, upto: int) -> None:
        self._sent = max(self._sent, upto)

    def total(self) -> Counter[tuple[str, str]]:
        """All partial sums added up by kind and name."""
        total: Counter[tuple[str, str]] = Counter()
        for _, sums in self.sums:
            for kind, name, amount in zip(sums.kind, sums.name, sums.amount.tolist(), strict=True):
                total[kind, name] += amount
        return total

    def _total(self, kind: str) -> Counter[str]:
        return Counter({name: amount for (of, name), amount in self.total().items() if of == kind})
