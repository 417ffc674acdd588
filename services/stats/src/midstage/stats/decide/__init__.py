"""Which arrivals count, and what they add: each number of a source, each ``(source, id)``, once.

Pure: the same ledger and the same arrivals give the same batch. Seen twice changes nothing: a
number that is in its source's ranges and a fingerprint that the ledger holds add no row, a
heartbeat no newer than the last one says nothing new.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import assert_never

from midstage.contracts.edges import edge_of
from midstage.stats.model import (
    Arrival,
    Batch,
    Beaten,
    Cell,
    Counted,
    Ended,
    Fingerprint,
    Known,
    Source,
    Sum,
    admitted,
)


def decide(known: Known, arrivals: Sequence[Arrival]) -> Batch:
    """What the arrivals add to a ledger that holds ``known``."""
    numbered, unnumbered, said = _sorted_out(arrivals)
    sources = dict(known.sources)
    rows: list[Counted] = []
    for name, requests in numbered.items():
        before = sources.get(name) or Source(name=name, edge=edge_of(name))
        news, seen = admitted(before.seen, [seq for seq, _ in requests])
        sources[name] = replace(before, seen=seen)
        rows.extend(request for new, (_, request) in zip(news, requests, strict=True) if new)
    for word in said:
        sources[word.source] = heard(sources.get(word.source), word)
    fresh = _fresh(known.fingerprints, unnumbered)
    rows.extend(fresh.values())
    return Batch(
        rows=tuple(rows),
        sources=_changed(known, sources.values()),
        fingerprints=tuple(fresh),
        sums=sums(rows),
        repeated=len(arrivals) - len(said) - len(rows),
    )


def heard(before: Source | None, word: Beaten | Ended) -> Source:
    """The source after what its edge said; an older word than the last one changes nothing."""
    source = before or Source(name=word.source, edge=word.edge)
    match word:
        case Beaten(beat=beat):
            newer = source.beat is None or beat.at > source.beat.at
            return replace(source, beat=beat) if newer else source
        case Ended(closing=closing):
            return source if source.closing else replace(source, closing=closing)
        case _:
            assert_never(word)


def named(arrivals: Iterable[Arrival]) -> tuple[frozenset[str], frozenset[Fingerprint]]:
    """The numbered sources and the fingerprints that the arrivals name."""
    sources: set[str] = set()
    fingerprints: set[Fingerprint] = set()
    for arrival in arrivals:
        match arrival:
            case Counted(source=source, id=event_id, seq=None):
                fingerprints.add(fingerprint(source, event_id))
            case Counted(source=source):
                sources.add(source)
            case Beaten(source=source) | Ended(source=source):
                sources.add(source)
            case _:
                assert_never(arrival)
    return frozenset(sources), frozenset(fingerprints)


def fingerprint(source: str, event_id: str) -> Fingerprint:
    """128 bits for one ``(source, id)``: among 10^9 events two agree with chance 10^-21."""
    named = f"{len(source)}:{source}{event_id}"  # the length keeps "a"+"bc" and "ab"+"c" apart
    digest = hashlib.blake2b(named.encode(), digest_size=16)
    return Fingerprint(digest.digest())


def sums(rows: Iterable[Counted]) -> dict[Cell, Sum]:
    """The rows added up by minute, customer and application; whole numbers, so in any order."""
    outcomes: defaultdict[Cell, Counter[str]] = defaultdict(Counter)
    units: defaultdict[Cell, Counter[str]] = defaultdict(Counter)
    for row in rows:
        cell = Cell(minute(row.time), row.fact.customer, row.fact.app)
        outcomes[cell][row.fact.outcome.value] += 1
        for unit, amount in row.billed.items():
            units[cell][unit] += amount
    return {cell: Sum(outcomes=outcomes[cell], units=units[cell]) for cell in outcomes}


def minute(time: datetime) -> datetime:
    """The minute of UTC in which ``time`` lies."""
    exact = time if time.tzinfo is UTC else time.astimezone(UTC)
    return exact.replace(second=0, microsecond=0)


def _sorted_out(
    arrivals: Sequence[Arrival],
) -> tuple[dict[str, list[tuple[int, Counted]]], list[Counted], list[Beaten | Ended]]:
    numbered: defaultdict[str, list[tuple[int, Counted]]] = defaultdict(list)
    unnumbered: list[Counted] = []
    said: list[Beaten | Ended] = []
    for arrival in arrivals:
        match arrival:
            case Counted(source=source, seq=int(seq)):
                numbered[source].append((seq, arrival))
            case Counted():
                unnumbered.append(arrival)
            case Beaten() | Ended():
                said.append(arrival)
            case _:
                assert_never(arrival)
    return numbered, unnumbered, said


def _fresh(
    known: frozenset[Fingerprint], unnumbered: Iterable[Counted]
) -> dict[Fingerprint, Counted]:
    fresh: dict[Fingerprint, Counted] = {}
    for request in unnumbered:
        mark = fingerprint(request.source, request.id)
        if mark not in known:
            fresh.setdefault(mark, request)
    return fresh


def _changed(known: Known, after: Iterable[Source]) -> tuple[Source, ...]:
    settled = (_completed(source) for source in after)
    return tuple(source for source in settled if source != known.sources.get(source.name))


def _completed(source: Source) -> Source:
    beat = source.beat
    if beat is None or beat.complete_until == source.complete_until:
        return source
    if not source.seen.complete(beat.highest):
        return source
    return replace(source, complete_until=beat.complete_until)
