"""What who left a partition in order has left to whoever takes it next: reservations that are open.

Each part is one record, and the last of a part counts. They are for the next one alone: what a
holder that left says comes before it says so, and what one says that dies is nobody's.
"""

from collections.abc import Sequence

from midstage.contracts.spends import ReservationsLeft


class Inherited:
    """By partition; changes in place, belongs to one thread at a time."""

    def __init__(self) -> None:
        """Nobody has left anything."""
        self._said: dict[int, dict[int, ReservationsLeft]] = {}
        self._passed: dict[int, Sequence[ReservationsLeft]] = {}

    def said(self, fact: ReservationsLeft, partition: int) -> None:
        """The holder says it, and has not left yet."""
        parts = self._said.setdefault(partition, {})
        if any(each.epoch != fact.epoch for each in parts.values()):
            parts.clear()
        parts[fact.part] = fact

    def taken(self, partition: int, left_epoch: int | None) -> None:
        """Somebody takes it, after one that left it by that epoch, or did not leave it."""
        parts = self._said.pop(partition, {})
        self._passed[partition] = [
            each for _, each in sorted(parts.items()) if each.epoch == left_epoch
        ]

    def of(self, partition: int) -> Sequence[ReservationsLeft]:
        """What was left to whoever holds it now."""
        return self._passed.get(partition, ())
