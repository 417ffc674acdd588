"""Whether events are in this shard's ledger now: asked for the sender's information alone."""

from collections.abc import Callable, Mapping

import numpy as np

from midstage.contracts.errors import RefusedError
from midstage.stats.model import Flags, Hashes, Source
from midstage.stats.views.held import MARK_BYTES, HeldAnswer, HeldQuery


class Held:
    """What this shard says of events, to itself and to the other shards."""

    def __init__(
        self,
        *,
        sources: Callable[[frozenset[str]], Mapping[str, Source]],
        seen: Callable[[Hashes], Flags],
    ) -> None:
        """Ask the ledger's sources, and what was seen of unnumbered events."""
        self._sources = sources
        self._seen = seen

    def held(self, query: HeldQuery) -> HeldAnswer:
        """Of each event whether it is in the ledger; RefusedError where marks are none."""
        if len(query.marks) % MARK_BYTES:
            raise RefusedError(f"marks are {MARK_BYTES} bytes each", status=422)
        sources = self._sources(frozenset(name for name, _ in query.numbered))
        marks = np.frombuffer(query.marks, ">u8").astype(np.uint64).reshape(-1, 2)
        return HeldAnswer(
            numbered=tuple(_numbered(sources.get(name), seq) for name, seq in query.numbered),
            marks=tuple(self._seen(marks).tolist()) if len(marks) else (),
        )


def _numbered(source: Source | None, seq: int) -> bool:
    return source is not None and seq in source.seen
