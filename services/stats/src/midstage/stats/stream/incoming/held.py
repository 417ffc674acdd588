"""Whether events are in this shard's ledger now: asked for the sender's information alone."""

from collections.abc import Callable, Mapping, Sequence

from midstage.contracts.fact import Event, Fact
from midstage.stats.decide import hashed
from midstage.stats.model import Flags, Hashes, Source


class Held:
    """Implements ``ingest.Held``; an event of another shard's source is not known here."""

    def __init__(
        self,
        *,
        sources: Callable[[frozenset[str]], Mapping[str, Source]],
        seen: Callable[[Hashes], Flags],
    ) -> None:
        """Ask the ledger's sources, and what was seen of unnumbered events."""
        self._sources = sources
        self._seen = seen

    def __call__(self, events: Sequence[Event[Fact]]) -> Sequence[bool]:
        """Of each event whether it is in the ledger."""
        sources = self._sources(frozenset(each.source for each in events if each.seq is not None))
        unnumbered = [each for each in events if each.seq is None]
        marks = hashed((each.source, each.id) for each in unnumbered)
        seen = iter(self._seen(marks).tolist() if unnumbered else ())
        return [
            next(seen) if each.seq is None else _numbered(sources.get(each.source), each.seq)
            for each in events
        ]


def _numbered(source: Source | None, seq: int) -> bool:
    return source is not None and seq in source.seen
