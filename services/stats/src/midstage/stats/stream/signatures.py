"""Signatures of many records at once: the same as ``contracts.signature``, a step for all of them.

HMAC-SHA256 begins alike for all records of a source, so its two halves are begun once and copied.
"""

import hashlib
from binascii import hexlify
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from midstage.contracts.edges import edge_of
from midstage.contracts.errors import UnreadableError
from midstage.stats.model import Flags

if TYPE_CHECKING:
    from hashlib import _Hash

SIGNATURE_BYTES = 64
"""Of a signature in hexadecimal."""
_MOST_SOURCES = 4096
_BLOCK = 64
_NOBODYS = bytes(SIGNATURE_BYTES // 2)


class Signatures:
    """Checks signatures; keeps what those of a source begin with."""

    def __init__(self) -> None:
        """No source has been heard of."""
        self._begun = _Begun({})

    def genuine(
        self,
        sources: Sequence[str],
        values: Sequence[bytes],
        claimed: Sequence[bytes],
        *,
        keys: Mapping[str, bytes],
    ) -> Flags:
        """Of each value whether the edge of its source signed it so.

        ``claimed`` are ``SIGNATURE_BYTES`` each; where no edge is named or has a key, none did.
        """
        if self._begun.held is not keys or len(self._begun) > _MOST_SOURCES:
            self._begun = _Begun(keys)
        begun = self._begun
        digests: list[bytes] = []
        nobodys: list[int] = []
        for source, value in zip(sources, values, strict=True):
            halves = begun[source]
            if halves is None:
                nobodys.append(len(digests))
                digests.append(_NOBODYS)
                continue
            inner, outer = halves[0].copy(), halves[1].copy()
            inner.update(value)
            outer.update(inner.digest())
            digests.append(outer.digest())
        same = _same(hexlify(b"".join(digests)), b"".join(claimed))
        same[nobodys] = False
        return same


def _same(ours: bytes, theirs: bytes) -> Flags:
    """Of each signature whether it is ours: every byte is looked at, wherever one differs."""
    if not ours:
        return np.zeros(0, np.bool_)
    differing = np.frombuffer(ours, np.uint8) ^ np.frombuffer(theirs, np.uint8)
    same: Flags = np.bitwise_or.reduce(differing.reshape(-1, SIGNATURE_BYTES), axis=1) == 0
    return same


class _Begun(dict[str, "tuple[_Hash, _Hash] | None"]):
    """By source the two halves of HMAC-SHA256 as far as they are the same for all its records."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        super().__init__()
        self.held = keys

    def __missing__(self, source: str) -> "tuple[_Hash, _Hash] | None":
        try:
            key = self.held[edge_of(source)]
        except (KeyError, UnreadableError):
            return None
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        padded = key.ljust(_BLOCK, b"\0")
        inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + source.encode() + b"\0")
        outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self[source] = inner, outer
        return inner, outer
