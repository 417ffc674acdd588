"""A ledger that does as the one inside: for negative controls, which change one method of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midstage.eventlog.log import Partition
from midstage.stats.model import Batch, Committed, Hashes, Outgoing, Source
from midstage.stats.stream.counting import Ledger


@dataclass
class Swapped:
    """Implements ``counting.Ledger``."""

    inner: Ledger

    def positions(self) -> Mapping[Partition, int]:
        return self.inner.positions()

    def row(self) -> int:
        return self.inner.row()

    def sources(self, names: frozenset[str]) -> Mapping[str, Source]:
        return self.inner.sources(names)

    def unnumbered(self, after_row: int) -> Hashes:
        return self.inner.unnumbered(after_row)

    def commit(
        self, batch: Batch, *, begins: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Committed:
        return self.inner.commit(batch, begins=begins, ends=ends)

    def unsent(self, most: int) -> Sequence[tuple[int, Outgoing]]:
        return self.inner.unsent(most)

    def sent(self, upto: int) -> None:
        self.inner.sent(upto)
