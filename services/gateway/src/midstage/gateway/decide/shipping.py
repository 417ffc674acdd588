"""How far the shipper is: which bytes are lines, what is acknowledged, when a time is complete.

Line n of a file is number n of its source, whoever reads it and how often; so a line that is sent
twice, by a restarted shipper or by one that was thought dead, counts once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from midstage.gateway.model.shipping import FLUSH_EVERY_MS, Position

BLOCK_BYTES = 1024 * 1024
MARGIN = timedelta(milliseconds=4 * FLUSH_EVERY_MS)
"""From the end of a request until its line is certainly in the file, while Envoy's main thread,
which flushes and answers its admin address, is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLine:
    """One line without its end; ``end`` is the offset after it, ``number`` counts from 1."""

    text: bytes
    number: int
    end: int


def lines(block: bytes, *, offset: int, number: int) -> Sequence[RawLine]:
    """The whole lines of ``block``, which begins at ``offset`` after line ``number``."""
    found: list[RawLine] = []
    start = 0
    while (end := block.find(b"\n", start)) >= 0:
        number += 1
        found.append(RawLine(text=block[start:end], number=number, end=offset + end + 1))
        start = end + 1
    return found


def furthest(known: Sequence[Mapping[str, Position]]) -> Mapping[str, Position]:
    """What several shippers knew, as one: positions only grow, so the furthest is true."""
    merged: dict[str, Position] = {}
    for positions in known:
        for stem, position in positions.items():
            before = merged.get(stem, Position())
            further = max(before, position, key=lambda at: (at.offset, at.number))
            merged[stem] = Position(
                offset=further.offset,
                number=further.number,
                closed=before.closed or position.closed,
            )
    return merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """A source is complete until ``until``, and until ``soon`` once ``bytes`` are acknowledged."""

    until: datetime
    soon: datetime
    bytes: int = 0


def begun(at: datetime) -> Completeness:
    """Nothing ended in this source before it began."""
    return Completeness(until=at, soon=at)


def looked(before: Completeness, *, asked: datetime, size: int) -> Completeness:
    """Envoy was alive at ``asked``, and some time later its file had ``size`` bytes.

    A clock that was set back takes back what was said of times that are yet to come.
    """
    certain = asked - MARGIN
    until = before.until if before.until <= asked else certain
    soon = before.soon if before.soon <= asked else certain
    return Completeness(until=until, soon=max(soon, certain), bytes=size)


def acknowledged(before: Completeness, offset: int) -> Completeness:
    """Kafka has the first ``offset`` bytes of the file."""
    if offset < before.bytes:
        return before
    return Completeness(until=max(before.until, before.soon), soon=before.soon, bytes=before.bytes)
