"""Server-sent events as they come, in any pieces; comments are left out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: the id to go on after (empty: none was given), its data (empty: only an id)."""

    id: str
    data: bytes


def blocks(pieces: Iterable[bytes]) -> Iterator[Block]:
    """The blocks that are whole; what breaks off in the middle of one is not told."""
    place, data = b"", b""
    for line in lines(pieces):
        if line:
            name, _, value = line.partition(b": ")
            place = value if name == b"id" else place
            data = value if name == b"data" else data
            continue
        if place or data:
            yield Block(id=place.decode(errors="replace"), data=data)
        place, data = b"", b""


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines without their ends."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in whole)
