"""Places in the stream of changes as text, and which changes a reader wants: pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from midstage.contracts.cluster import (
    ClusterFact,
    ClusterReached,
    ClusterUnreachable,
    EndpointsObserved,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    PodObserved,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
)
from midstage.contracts.errors import RefusedError
from midstage.contracts.inventory import Used, kind_of
from midstage.control.model import Position

_POSITION = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which changes; ``everything``: measurements and the 5 s "it answers" too."""

    app: str | None = None
    kind: str | None = None
    name: str | None = None
    everything: bool = False

    def matches(self, fact: ClusterFact) -> bool:
        """Whether the change is wanted."""
        if not self.everything and isinstance(fact, Used | ClusterReached):
            return False
        if self.kind not in (None, kind_of(fact).value) or self.name not in (None, fact.name):
            return False
        return self.app in (None, app_of(fact))


def app_of(fact: ClusterFact) -> str:
    """The application that a fact is about; empty for nodes and clusters."""
    match fact:
        case PodObserved() | PodUsed() | WorkloadObserved() | EndpointsObserved() | ObjectGone():
            return fact.app
        case NodeObserved() | NodeUsed() | QuotaUsed() | ClusterReached() | ClusterUnreachable():
            return ""
        case _:
            assert_never(fact)


def position(text: str, *, partitions: int) -> Position:
    """The place that an event's id names; RefusedError where it is none of this stream."""
    if not _POSITION.fullmatch(text) or text.count(".") + 1 != partitions:
        raise RefusedError(
            f"{text[:100]!r} is not the id of a change: {partitions} numbers with dots between; "
            f"leave it out to begin with what comes next"
        )
    return Position(offsets=tuple(int(part) for part in text.split(".")))


def within(place: Position, *, oldest: Sequence[int], ends: Sequence[int]) -> Position:
    """``place`` where the log still holds all after it; else RefusedError (410, 422)."""
    for at, first, end in zip(place.offsets, oldest, ends, strict=True):
        if at < first:
            raise RefusedError(
                f"the changes after {place} are not all held any more; read the state anew",
                status=410,
            )
        if at > end:
            raise RefusedError(f"{place} is the id of a change that has not happened here")
    return place
