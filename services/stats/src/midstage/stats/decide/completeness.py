"""Which gaps are put down in the log, and when one is closed: each once, whoever asks how often.

The log holds what was declared of a source, so a restart declares nothing again. A hole that fills
in part is closed in part. Only the time for which a hole was looked at is kept in memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from midstage.contracts.billing import GapReason, UsageGap, UsageGapClosed
from midstage.stats.decide.told import Hole, Told
from midstage.stats.model import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the log says is missing of a source; ``silent``: from which number on all of it."""

    holes: tuple[Span, ...] = ()
    silent: int | None = None


NOTHING = Declared()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a shard sees of one source now: ``old`` holes are those above their grace."""

    told: Told
    old: tuple[Hole, ...]
    shard: int
    at: datetime


Watch = Mapping[str, tuple[tuple[Span, datetime], ...]]
"""By source since when each hole was seen."""


def watched(
    before: Watch, sources: Iterable[Told], *, now: datetime
) -> dict[str, tuple[tuple[Span, datetime], ...]]:
    """The holes that are there now; what is left of a hole is as old as the hole was."""
    return {
        one.source.name: tuple(
            (
                (hole.first, hole.last),
                min(_since(before.get(one.source.name, ()), hole), default=now),
            )
            for hole in one.holes
        )
        for one in sources
        if one.holes
    }


def looked(
    sources: Iterable[Told], watch: Watch, *, shard: int, now: datetime, grace: timedelta
) -> tuple[Look, ...]:
    """A look at each source."""
    return tuple(
        Look(
            told=one,
            old=tuple(
                hole
                for hole, (_, since) in zip(
                    one.holes, watch.get(one.source.name, ()), strict=bool(one.holes)
                )
                if now - since >= grace
            ),
            shard=shard,
            at=now,
        )
        for one in sources
    )


def decide(declared: Declared, look: Look) -> tuple[UsageGap | UsageGapClosed, ...]:
    """The facts that make the log say what the look saw; none where it does."""
    return (*_closed(declared, look), *_opened(declared, look), *_silence(declared, look))


def evolve(declared: Declared, fact: UsageGap | UsageGapClosed) -> Declared:
    """What is declared after a fact."""
    match fact:
        case UsageGap(reason=GapReason.SILENT, first=first):
            return Declared(holes=declared.holes, silent=first)
        case UsageGapClosed(reason=GapReason.SILENT):
            return Declared(holes=declared.holes)
        case UsageGap(first=first, last=int(last)):
            holes = (*without(declared.holes, [(first, last)]), (first, last))
            return Declared(holes=tuple(sorted(holes)), silent=declared.silent)
        case UsageGapClosed(first=first, last=int(last)):
            return Declared(holes=without(declared.holes, [(first, last)]), silent=declared.silent)
        case _:
            return declared


def without(spans: Iterable[Span], taken: Sequence[Span]) -> tuple[Span, ...]:
    """The numbers of ``spans`` that are in none of ``taken``, as spans."""
    left = list(spans)
    for low, high in taken:
        left = [
            part
            for first, last in left
            for part in ((first, min(last, low - 1)), (max(first, high + 1), last))
            if part[0] <= part[1]
        ]
    return tuple(sorted(set(left)))


def _since(held: Iterable[tuple[Span, datetime]], hole: Hole) -> list[datetime]:
    return [since for (first, last), since in held if first <= hole.first and hole.last <= last]


def _opened(declared: Declared, look: Look) -> tuple[UsageGap, ...]:
    return tuple(
        UsageGap(
            source=look.told.source.name,
            edge=look.told.source.edge,
            reason=GapReason.HOLE,
            first=first,
            last=last,
            after=hole.after,
            before=hole.before,
            shard=look.shard,
            at=look.at,
        )
        for hole in look.old
        for first, last in without([(hole.first, hole.last)], declared.holes)
    )


def _closed(declared: Declared, look: Look) -> tuple[UsageGapClosed, ...]:
    missing = [(hole.first, hole.last) for hole in look.told.holes]
    return tuple(
        UsageGapClosed(
            source=look.told.source.name,
            reason=GapReason.HOLE,
            first=first,
            last=last,
            at=look.at,
        )
        for first, last in without(declared.holes, missing)
    )


def _silence(declared: Declared, look: Look) -> tuple[UsageGap | UsageGapClosed, ...]:
    source = look.told.source
    if look.told.silent and declared.silent is None:
        return (
            UsageGap(
                source=source.name,
                edge=source.edge,
                reason=GapReason.SILENT,
                first=source.highest + 1,
                last=None,
                after=look.told.said_until,
                before=None,
                shard=look.shard,
                at=look.at,
            ),
        )
    if declared.silent is not None and not look.told.silent:
        return (
            UsageGapClosed(
                source=source.name,
                reason=GapReason.SILENT,
                first=declared.silent,
                last=None,
                at=look.at,
            ),
        )
    return ()
