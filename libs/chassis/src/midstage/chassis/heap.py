"""What a process lets go of goes back to the system; glibc is told so before there are threads.

By itself it gives each thread a heap, and raises the size from which a block is mapped alone to
that of the largest one freed, up to 32 MiB: then columns of a megabyte lie in heaps among small
things that stay. A consumer held 70 MiB so that it did not use.
"""

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_ARENAS = 2
_ALONE = 256 << 10


def given_back() -> None:
    """Two heaps at most; what is 256 KiB or more is mapped alone. Nothing without glibc."""
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):  # another C library has no such function
        libc.mallopt(_ARENA_MAX, _ARENAS)
        libc.mallopt(_MMAP_THRESHOLD, _ALONE)
        libc.mallopt(_TRIM_THRESHOLD, _ALONE)
