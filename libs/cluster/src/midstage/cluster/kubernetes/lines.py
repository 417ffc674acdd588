"""Whole lines of what comes in any pieces; a line that is not ended is none. Pure."""

from collections.abc import Iterable, Iterator

from midstage.contracts.errors import UnavailableError

LONGEST = 32 * 1024 * 1024
"""No object of Kubernetes is nearly as large (etcd takes 1.5 MiB): what is longer is no line."""


def lines(pieces: Iterable[bytes], *, longest: int = LONGEST) -> Iterator[bytes]:
    """Each line without its end; UnavailableError where one has no end within ``longest`` bytes."""
    rest: list[bytes] = []
    size = 0
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest.append(first)
        size += len(first)
        if others:
            yield b"".join(rest)
            *whole, last = others
            yield from whole
            rest, size = [last], len(last)
        if size > longest:
            raise UnavailableError(f"a line has no end within {longest} bytes")
