"""Whether events are in the ledger now, as one shard asks another; small, whatever the events are.

An event with a number goes by its source and number, any other by the 16 bytes of
``decide.hashed``; these stand end to end, in the order of the events.
"""

import msgspec

MARK_BYTES = 16


class HeldQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; ``marks`` are ``MARK_BYTES`` each."""

    numbered: tuple[tuple[str, int], ...] = ()
    marks: bytes = b""


class HeldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Of each event asked for whether it is there, in the order of the question."""

    numbered: tuple[bool, ...]
    marks: tuple[bool, ...]

    def fits(self, query: HeldQuery) -> bool:
        """Whether it answers that question."""
        asked = (len(query.numbered), len(query.marks) // MARK_BYTES)
        return (len(self.numbered), len(self.marks)) == asked
