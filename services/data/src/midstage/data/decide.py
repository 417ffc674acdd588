"""Which arrivals are kept, which hours are closed, which parts go: pure.

Each number of a source and each ``(source, id)`` is kept once. What is older than the retention is
not kept, so an identity may be forgotten with its row and the row still can't come again.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from midstage.contracts.errors import RefusedError
from midstage.data.model import (
    HOUR,
    SECOND,
    Arrived,
    Batch,
    Download,
    Fingerprint,
    Known,
    Part,
    Source,
    Span,
    Staged,
    hour_of,
)

PATIENCE = 12
"""Graces that an hour waits at most while its late rows trickle in."""


def decide(known: Known, arrivals: Sequence[Arrived], *, oldest: datetime) -> Batch:
    """What the arrivals add to records that hold ``known``; rows before ``oldest`` are expired."""
    sources = dict(known.sources)
    fresh: dict[Fingerprint, datetime] = {}
    rows: list[Arrived] = []
    current = [arrived for arrived in arrivals if arrived.time >= oldest]
    for arrived in current:
        if arrived.seq is None:
            mark = fingerprint(arrived.source, arrived.id)
            new = mark not in known.fingerprints and mark not in fresh
            if new:
                fresh[mark] = arrived.time
        else:
            before = sources.get(arrived.source)
            new = before is None or arrived.seq not in before.seen
            if new:
                sources[arrived.source] = _with(before, arrived, arrived.seq)
        if new:
            rows.append(arrived)
    return Batch(
        rows=tuple(rows),
        sources=tuple(now for name, now in sources.items() if now != known.sources.get(name)),
        fingerprints=fresh,
        repeated=len(current) - len(rows),
        expired=len(arrivals) - len(current),
    )


def named(arrivals: Iterable[Arrived]) -> tuple[frozenset[str], frozenset[Fingerprint]]:
    """The numbered sources and the fingerprints that the arrivals name."""
    sources: set[str] = set()
    fingerprints: set[Fingerprint] = set()
    for arrived in arrivals:
        if arrived.seq is None:
            fingerprints.add(fingerprint(arrived.source, arrived.id))
        else:
            sources.add(arrived.source)
    return frozenset(sources), frozenset(fingerprints)


def fingerprint(source: str, event_id: str) -> Fingerprint:
    """128 bits for one ``(source, id)``: among 10^9 events two agree with chance 10^-21."""
    text = f"{len(source)}:{source}{event_id}"  # the length keeps "a"+"bc" and "ab"+"c" apart
    return Fingerprint(hashlib.blake2b(text.encode(), digest_size=16).digest())


def oldest_kept(now: datetime, *, retention: timedelta) -> datetime:
    """The first hour that is kept."""
    return hour_of(now - retention)


def closing(staged: Iterable[Staged], *, now: datetime, grace: timedelta) -> tuple[datetime, ...]:
    """The hours to close now, oldest first.

    An hour is closed when it is over for ``grace`` and no row of it came in for as long, so what
    is read late at once becomes one part; rows that trickle in keep it open for a while only.
    """
    return tuple(sorted(one.hour for one in staged if _due(one, now, grace)))


def removed(
    parts: Sequence[Part], *, now: datetime, retention: timedelta, most_bytes: int
) -> tuple[Part, ...]:
    """The parts to remove: those past the retention, then the oldest until the rest fits."""
    oldest = oldest_kept(now, retention=retention)
    left = sum(part.bytes for part in parts)
    gone: list[Part] = []
    for part in sorted(parts, key=lambda one: (one.hour, one.number)):
        if part.hour >= oldest and left <= most_bytes:
            break
        gone.append(part)
        left -= part.bytes
    return tuple(gone)


def slices(seconds: Iterable[tuple[datetime, int]], *, most: int) -> tuple[Span, ...]:
    """Neighbouring spans of time that cover all rows, of about ``most`` rows at most each.

    ``seconds`` are those that have rows, ascending, and how many; a second is never cut.
    """
    found: list[Span] = []
    rows = 0
    for second, count in seconds:
        end = second + SECOND
        if found and rows + count <= most:
            found[-1] = Span(begin=found[-1].begin, end=end)
            rows += count
        else:
            found.append(Span(begin=second, end=end))
            rows = count
    return tuple(found)


def welcome(held: Sequence[Download], wanted: Download, *, most: int) -> Download | None:
    """The same download where it was asked for before, else None: it may be made.

    RefusedError for another one under the same id (409), and above ``most`` that are held (429).
    """
    for one in held:
        if one.id == wanted.id:
            if (one.format, one.filters) != (wanted.format, wanted.filters):
                raise RefusedError("that Idempotency-Key asked for another download", status=409)
            return one
    if len(held) >= most:
        raise RefusedError(
            f"there are {most} downloads already; delete one, or wait until one expires",
            status=429,
        )
    return None


def _due(staged: Staged, now: datetime, grace: timedelta) -> bool:
    if now < staged.hour + HOUR + grace:
        return False
    quiet = now - staged.last_at >= grace
    return quiet or now - max(staged.first_at, staged.hour + HOUR) >= PATIENCE * grace


def _with(before: Source | None, arrived: Arrived, seq: int) -> Source:
    source = before or Source(name=arrived.source, newest=arrived.time)
    return replace(source, seen=source.seen.plus(seq), newest=max(source.newest, arrived.time))
