"""How a meter outlives its process: by room taken ahead, or, strict, each admission by itself."""

from collections.abc import Sequence
from typing import Protocol

from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.strict import Strict

Kept = Room[Meter] | Strict[Meter]


class Waited(Protocol):
    """What a check may wait for: the log, or a part that another process lends."""

    def wait_for(self, lacks: int, /) -> None:
        """A check waits until it has what it lacks: units, or of a strict meter the change."""
        ...

    def asking_for_ns(self, now_ns: int, /) -> int:
        """Since when there is no answer."""
        ...


Lacking = Sequence[tuple[Waited, int]]
"""Rooms and parts with the units that they lack, strict meters with the change that is to last."""
