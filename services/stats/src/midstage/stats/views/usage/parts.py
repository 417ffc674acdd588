"""What one shard says to a question: sums that can be added to those of any other shard.

Counts are added, sketches merged, customers united; so an answer does not depend on which shard
holds which row. Amounts are whole micro-units. Nothing here is rounded or estimated. Customers are
told apart by 128 bits of their names' hashes, which counts as exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from midstage.contracts import sketch
from midstage.contracts.errors import RefusedError
from midstage.contracts.sketch import Sketch
from midstage.stats.views.usage.question import Key, Question, Timing

MOST_GROUPS = 100_000
MOST_CELLS = 500_000
MOST_TOLD_APART = 1_000_000
"""Customers, each counted in every group that it is in, that one shard names to another."""
HASH_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group's sums; a name that nothing counted under is not there, a counted 0 is.

    ``told_apart`` are the hashes of its ``customers``, of ``HASH_BYTES`` each and in no order; they
    are there where another shard may have some of the same.
    """

    key: Key
    outcomes: Mapping[str, int] = field(default_factory=dict)
    micros: Mapping[str, int] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    customers: int = 0
    told_apart: bytes = b""
    sketches: Mapping[Timing, Sketch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What an answer rests on, the same for every page of it.

    ``versions`` are the commits of each shard that it knows, ``positions`` the next offset of each
    ``topic/partition``, ``complete_until`` the end of what is certainly all there (None: unknown).
    """

    versions: Mapping[int, int]
    positions: Mapping[str, int]
    complete_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A shard's groups, in no order, and what they rest on."""

    standing: Standing
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """What one shard asks another: its part, as of its one of ``versions``; None: as of now."""

    question: Question
    versions: Mapping[int, int] | None = None


def merged(parts: Sequence[Part]) -> Part:
    """All of it as if one shard had said it; RefusedError above ``MOST_GROUPS``."""
    if len(parts) == 1:
        return Part(standing=parts[0].standing, groups=_limited(parts[0].groups))
    by_key: dict[Key, list[Group]] = {}
    for part in parts:
        for group in part.groups:
            by_key.setdefault(group.key, []).append(group)
    groups = tuple(_sum(same) for same in by_key.values())
    return Part(standing=standings([part.standing for part in parts]), groups=_limited(groups))


def standings(all_of: Sequence[Standing]) -> Standing:
    """What an answer of several shards rests on: complete until the least of theirs."""
    times = [one.complete_until for one in all_of]
    known = [time for time in times if time is not None]
    return Standing(
        versions={shard: at for one in all_of for shard, at in one.versions.items()},
        positions={name: at for one in all_of for name, at in one.positions.items()},
        complete_until=min(known) if known and len(known) == len(times) else None,
    )


def _sum(groups: Sequence[Group]) -> Group:
    first, *others = groups
    if not others:
        return first
    timings = {timing for group in groups for timing in group.sketches}
    told_apart = _united([group.told_apart for group in groups if group.told_apart])
    return Group(
        key=first.key,
        outcomes=_added(group.outcomes for group in groups),
        micros=_added(group.micros for group in groups),
        bytes_in=sum(group.bytes_in for group in groups),
        bytes_out=sum(group.bytes_out for group in groups),
        customers=len(told_apart) // HASH_BYTES,
        told_apart=told_apart,
        sketches={
            timing: sketch.merged(
                *(group.sketches[timing] for group in groups if timing in group.sketches)
            )
            for timing in timings
        },
    )


def _added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            sums[name] = sums.get(name, 0) + amount
    return sums


def _united(hashes: Sequence[bytes]) -> bytes:
    if len(hashes) <= 1:
        return b"".join(hashes)
    pairs = np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 2)
    in_order = pairs[np.lexsort(pairs.T)]
    first = np.append(True, (in_order[1:] != in_order[:-1]).any(axis=1))
    return bytes(in_order[first].data)


def _limited(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    if len(groups) > MOST_GROUPS:
        raise too_many()
    return groups


def too_many() -> RefusedError:
    """The refusal of an answer that is too large, with what to do about it."""
    return RefusedError(
        f"group_by: the answer has more than {MOST_GROUPS} groups or {MOST_CELLS} sums; narrow it "
        "with from and to or a filter, take a longer window, or group by less",
        status=400,
    )


def too_many_customers() -> RefusedError:
    """The refusal of customers that are too many to be told apart over several shards."""
    return RefusedError(
        f"measures: a shard has more than {MOST_TOLD_APART} customers, each counted in every group "
        "that it is in, which are too many to be told apart over several shards; narrow it with "
        "from and to or a filter, group by less, or leave customers out",
        status=400,
    )
