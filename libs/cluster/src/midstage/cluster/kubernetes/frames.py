"""Whole frames of what comes in any pieces: four bytes that say how long, then so many. Pure.

A frame that is not ended is none, as the line of a watch in JSON.
"""

from collections.abc import Iterable, Iterator

from midstage.cluster.kubernetes.lines import LONGEST
from midstage.contracts.errors import UnavailableError

_HEAD = 4


def frames(pieces: Iterable[bytes], *, longest: int = LONGEST) -> Iterator[bytes]:
    """Each frame; UnavailableError where one says that it is longer than ``longest`` bytes."""
    rest: list[bytes] = []
    size, wanted = 0, _HEAD
    for piece in pieces:
        rest.append(piece)
        size += len(piece)
        if size < wanted:
            continue
        whole, at = b"".join(rest), 0
        while len(whole) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(whole[at : at + _HEAD], "big")
            if end - at > longest:
                raise UnavailableError(f"a frame is longer than {longest} bytes")
            if end > len(whole):
                break
            yield whole[at + _HEAD : end]
            at = end
        rest = [whole[at:]]
        size = len(whole) - at
        wanted = _HEAD if size < _HEAD else _HEAD + int.from_bytes(whole[at : at + _HEAD], "big")
