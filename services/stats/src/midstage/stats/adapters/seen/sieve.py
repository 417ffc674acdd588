"""What stands in front of a file: says of a stranger, nearly always, that it is not there.

A Bloom filter whose four bits lie in one 64-bit word, so that a question costs one look into
memory. The upper half of a hash chooses the word, so words come in the order of sorted hashes; the
lower half chooses the bits. 12 bits a hash let about one stranger in eighty through.
"""

import numpy as np
from numpy.typing import NDArray

from midstage.stats.adapters.seen.hashes import Flags, Hashes

BITS_A_HASH = 12
WORD_BYTES = 8
_UPPER = np.uint64(32)
_ONE = np.uint64(1)
_PLACES = np.uint64(63)
_SHIFTS = tuple(np.uint64(shift) for shift in (0, 6, 12, 18))

Words = NDArray[np.uint64]


def words_for(count: int) -> int:
    """How many words a sieve for ``count`` hashes has; one at least, below 2^32."""
    return max(1, -(-count * BITS_A_HASH // 64))


def masks(hashes: Hashes) -> Words:
    """The bits of each hash in its word, the same in every sieve."""
    found = np.zeros(len(hashes), np.uint64)
    for shift in _SHIFTS:
        found |= _ONE << ((hashes[:, 1] >> shift) & _PLACES)
    return found


def let_through(words: Words, hashes: Hashes, bits: Words) -> Flags:
    """Of each hash whether it may be there; False is certain. ``bits`` are its ``masks``."""
    passed: Flags = (words[_places(words, hashes)] & bits) == bits
    return passed


def put_in(words: Words, hashes: Hashes) -> None:
    """Add sorted hashes to the sieve."""
    if not len(hashes):
        return
    places = _places(words, hashes)
    begins = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    words[places[begins]] |= np.bitwise_or.reduceat(masks(hashes), begins)


def _places(words: Words, hashes: Hashes) -> Words:
    """The word of each hash: its upper 32 bits, taken for a fraction of one."""
    return ((hashes[:, 0] >> _UPPER) * np.uint64(len(words))) >> _UPPER
