"""Hashes as columns: 128 bits each, an array of shape (n, 2), upper and lower half, uint64.

*Sorted* here means ascending by the upper half alone. Equal upper halves stand in any order, so
whoever looks one up compares the lower halves of all of them.
"""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]

HASH_BYTES = 16
NO_HASHES: Hashes = np.empty((0, 2), np.uint64)


def in_order(hashes: Hashes) -> Hashes:
    """The same hashes sorted; cheap where they are some sorted runs one after another."""
    return hashes[np.argsort(hashes[:, 0], kind="stable")]


def merged(held: Hashes, added: Hashes) -> Hashes:
    """Sorted hashes with others put in, still sorted."""
    ordered = in_order(added)
    return np.insert(held, np.searchsorted(held[:, 0], ordered[:, 0]), ordered, axis=0)


def among(held: Hashes, asked: Hashes) -> Flags:
    """Of each hash asked for, in their order, whether it is among the sorted ``held``."""
    upper = np.ascontiguousarray(held[:, 0])
    at = np.searchsorted(upper, asked[:, 0], "left")
    end = np.searchsorted(upper, asked[:, 0], "right")
    found = np.zeros(len(asked), np.bool_)
    for step in range(int((end - at).max(initial=0))):  # nearly always once: equal upper halves
        inside = np.flatnonzero(at + step < end)
        found[inside] |= held[at[inside] + step, 1] == asked[inside, 1]
    return found
