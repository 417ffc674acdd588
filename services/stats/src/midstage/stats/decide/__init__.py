"""Which arrivals count, and what they add: each number of a source, each ``(source, id)``, once.

Pure: the same ledger and the same arrivals give the same batch. Seen twice changes nothing: a
number that is in its source's ranges and a hash that is held add no row, a heartbeat no newer than
the last one says nothing new.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

import numpy as np

from midstage.contracts.edges import edge_of
from midstage.stats.decide.sums import hours, sums
from midstage.stats.model import (
    NO_HASHES,
    Arrivals,
    Batch,
    Beaten,
    Ended,
    Flags,
    Hashes,
    Known,
    Rows,
    Source,
    admitted,
)


def decide(known: Known, arrivals: Arrivals) -> Batch:
    """What the arrivals add to a ledger that holds ``known``."""
    arrived = arrivals.rows
    sources = dict(known.sources)
    new = _numbered(sources, arrived)
    fresh, marks = _unnumbered(known.seen, arrived)
    new |= fresh
    for word in arrivals.said:
        sources[word.source] = heard(sources.get(word.source), word)
    rows = arrived.taken(new)
    return Batch(
        rows=rows,
        sources=_changed(known, sources.values()),
        hashes=marks,
        sums=sums(rows),
        hours=hours(rows),
        repeated=len(arrived) - len(rows),
    )


def heard(before: Source | None, word: Beaten | Ended) -> Source:
    """The source after what its edge said; an older word than the last one changes nothing.

    A beat that names more lines is the newer one also where its clock is behind: it was set back,
    and what was said of times that are yet to come no longer holds.
    """
    source = before or Source(name=word.source, edge=word.edge)
    match word:
        case Beaten(beat=beat):
            held = source.beat
            newer = held is None or beat.at > held.at or beat.highest > held.highest
            return replace(source, beat=beat) if newer else source
        case Ended(closing=closing):
            return source if source.closing else replace(source, closing=closing)
        case _:
            assert_never(word)


def named(arrivals: Arrivals) -> frozenset[str]:
    """The numbered sources that the arrivals name."""
    rows = arrivals.rows
    codes = np.unique(rows.source.codes[rows.seq > 0]).tolist()
    return frozenset(
        [*(rows.source.words[code] for code in codes), *(word.source for word in arrivals.said)]
    )


def hashes(rows: Rows) -> Hashes:
    """128 bits for each unnumbered row, in their order.

    Among 10^9 events two agree with chance 10^-21.
    """
    at = np.flatnonzero(rows.seq == 0)
    if not len(at):
        return NO_HASHES
    return hashed(zip(rows.source.taken(at), rows.id.taken(at), strict=True))


def hashed(names: Iterable[tuple[str, str]]) -> Hashes:
    """128 bits for each pair of source and id; a length keeps "a"+"bc" and "ab"+"c" apart."""
    digests = [
        hashlib.blake2b(f"{len(source)}:{source}{event_id}".encode(), digest_size=16).digest()
        for source, event_id in names
    ]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64).reshape(-1, 2)


def _numbered(sources: dict[str, Source], rows: Rows) -> Flags:
    """Which numbered rows are new; ``sources`` has their numbers afterwards.

    Nearly always each source's are the next lines of its file: asked of all sources at once.
    """
    new = rows.seq > 0
    numbered = np.flatnonzero(new)
    if not len(numbered):
        return new
    codes = rows.source.codes[numbered]
    order = np.argsort(codes, kind="stable")
    at, codes = numbered[order], codes[order]
    seq = rows.seq[at]
    begins = np.concatenate(([0], np.flatnonzero(np.diff(codes)) + 1))
    ends = np.append(begins[1:], len(seq))
    follows = np.diff(seq, prepend=0) == 1
    follows[begins] = True
    parts = zip(
        codes[begins].tolist(),
        begins.tolist(),
        ends.tolist(),
        zip(seq[begins].tolist(), seq[ends - 1].tolist(), strict=True),
        np.logical_and.reduceat(follows, begins).tolist(),
        strict=True,
    )
    for code, begin, end, span, one_run in parts:
        name = rows.source.words[code]
        before = sources.get(name) or Source(name=name, edge=edge_of(name))
        if one_run and span[0] > before.seen.most:
            seen = before.seen.then(span)
        else:
            new[at[begin:end]], seen = admitted(before.seen, seq[begin:end])
        sources[name] = replace(before, seen=seen)
    return new


def _unnumbered(seen: Flags, rows: Rows) -> tuple[Flags, Hashes]:
    """Which unnumbered rows are new, each where it comes first, and their hashes."""
    new = np.zeros(len(rows), np.bool_)
    marks = hashes(rows)
    if not len(marks):
        return new, marks
    first = np.zeros(len(marks), np.bool_)
    first[np.unique(marks, axis=0, return_index=True)[1]] = True
    fresh = first & ~seen
    new[np.flatnonzero(rows.seq == 0)[fresh]] = True
    return new, marks[fresh]


def _changed(known: Known, after: Iterable[Source]) -> tuple[Source, ...]:
    settled = (_completed(source) for source in after)
    return tuple(source for source in settled if source != known.sources.get(source.name))


def _completed(source: Source) -> Source:
    beat = source.beat
    if beat is None or beat.complete_until == source.complete_until:
        return source
    taken_back = source.complete_until is not None and beat.complete_until < source.complete_until
    if not taken_back and not source.seen.complete(beat.highest):
        return source
    return replace(source, complete_until=beat.complete_until)
