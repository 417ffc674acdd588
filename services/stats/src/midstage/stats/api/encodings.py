"""A body as it was before it was compressed, never larger than what a body may be.

Decompression stops at the limit, however much more there would be.
"""

import zlib
from collections.abc import Callable

import zstandard

from midstage.chassis.guard import TOO_LARGE
from midstage.contracts.errors import RefusedError

BODY_BYTES = 4 * 1024 * 1024
_WINDOW_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 4096
_GZIP = 31  # zlib's word for: a gzip header and nothing else


def decoded(body: bytes, encoding: str) -> bytes:
    """The body; RefusedError: 413 above the limit, 415 an encoding unknown here, 400 broken."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        found = body
    else:
        decode = _DECODERS.get(name)
        if decode is None:
            raise RefusedError(
                f"content-encoding {name[:40]!r} is none of {', '.join(_DECODERS)}", status=415
            )
        found = decode(body)
    if len(found) > BODY_BYTES:
        raise RefusedError(f"the body is larger than {BODY_BYTES} bytes; {TOO_LARGE}", status=413)
    return found


def _gzip(body: bytes) -> bytes:
    """One member or several (RFC 1952, 2.2), each whole.

    They are read in small pieces: of what follows a member zlib makes a copy.
    """
    found, at = bytearray(), 0
    while at == 0 or at < len(body):
        member = zlib.decompressobj(wbits=_GZIP)
        while not member.eof:
            piece = body[at : at + _PIECE_BYTES]
            if not piece:
                raise RefusedError("the body ends within a gzip member", status=400)
            try:
                found += member.decompress(piece, BODY_BYTES + 1 - len(found))
            except zlib.error as e:
                raise RefusedError(f"the body is not gzip: {e}", status=400) from e
            if len(found) > BODY_BYTES:
                return bytes(found)
            at += len(piece) - len(member.unused_data)
    return bytes(found)


def _zstd(body: bytes) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            found: bytes = reader.read(BODY_BYTES + 1)
    except zstandard.ZstdError as e:
        raise RefusedError(f"the body is not zstd: {e}", status=400) from e
    return found


_DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "x-gzip": _gzip, "zstd": _zstd}
"""By name; ``x-gzip`` is to be taken for gzip (RFC 9110, 8.4.1.3)."""
