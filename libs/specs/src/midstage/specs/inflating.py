"""Deflated bytes made large again in small steps, measured as they come.

What an archive says of its sizes is never believed: the output is counted, and refused as soon as
it is more than allowed, or so much larger than what it was made of that it can be no text.
"""

import zlib

from midstage.contracts.errors import RefusedError

LARGEST_RATIO = 200
FREE_BYTES = 1024 * 1024
"""Up to so much may come of any few bytes: a tar of small files is mostly zeros."""

_STEP = 64 * 1024
_GZIP = 31
_RAW = -15


def gunzipped(packed: bytes, *, most: int) -> bytes:
    """The content of one gzip stream that fills ``packed``; RefusedError where it is not that."""
    made, rest = _inflated(packed, zlib.decompressobj(_GZIP), most=most, what="the archive")
    if rest:
        raise RefusedError(f"{len(rest)} bytes stand behind the end of the gzip stream")
    return made


def inflated(packed: bytes, *, most: int, what: str) -> bytes:
    """The content of one raw deflate stream that fills ``packed``; RefusedError as above."""
    made, rest = _inflated(packed, zlib.decompressobj(_RAW), most=most, what=what)
    if rest:
        raise RefusedError(f"{what}: {len(rest)} bytes stand behind the end of its content")
    return made


def _inflated(
    packed: bytes, stream: "zlib._Decompress", *, most: int, what: str
) -> tuple[bytes, bytes]:
    made = bytearray()
    given = packed
    try:
        while not stream.eof:
            piece = stream.decompress(given, _STEP)
            made += piece
            given = stream.unconsumed_tail
            _check(len(made), len(packed) - len(given), most, what)
            if not piece and not given:
                break
    except zlib.error as e:
        raise RefusedError(f"{what} is broken: {e}") from e
    if not stream.eof:
        raise RefusedError(f"{what} ends too early")
    return bytes(made), stream.unused_data


def _check(made: int, used: int, most: int, what: str) -> None:
    if made > most:
        raise RefusedError(f"{what} is larger than {most} bytes when unpacked", status=413)
    if made > FREE_BYTES and made > LARGEST_RATIO * used:
        raise RefusedError(
            f"{what} unpacks to more than {LARGEST_RATIO} times its size", status=413
        )
