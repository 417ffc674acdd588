"""What a holder of leases asks for, and what it is lent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NewType

from midstage.contracts.limits import LimitSet

HolderId = NewType("HolderId", int)
"""A holder's name as 64 bits: as long for any name, and a number, as all of a claim is."""


def holder_id(name: str) -> HolderId:
    """Above 0; two names have the same one by no chance that matters."""
    digest = blake2b(name.encode(), digest_size=8).digest()
    return HolderId(int.from_bytes(digest) or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """``rate_micros`` and ``burst`` until ``until_ns``; ``add`` units are the holder's at once.

    ``rate_micros`` is millionths of a unit a second.
    """

    serial: int
    rate_micros: int
    burst: int
    add: int
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What requests of ``customer`` will use a second, in millionths, by application and unit.

    ``holding`` is the serial number of the newest answer that the holder has taken over; 0: none.
    """

    holder: str
    customer: str
    apps: Mapping[str, Mapping[str, int]]
    holding: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What passed by leases of ``customer`` in the last ``during_ns``, by application and unit."""

    customer: str
    apps: Mapping[str, Mapping[str, int]]
    during_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """``parts`` of limits; ``apps``: which of them requests to each application meet.

    ``per_check``: applications whose requests are to be asked for one by one, why, and whether all
    limits that they meet are open on failure.
    """

    serial: int
    term_ns: int
    parts: Sequence[tuple[LimitSet, Grant]]
    apps: Mapping[str, Sequence[str]]
    per_check: Mapping[str, tuple[str, bool]]
