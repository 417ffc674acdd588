"""How a meter outlives its process: by room taken ahead, or, strict, each admission by itself."""

from collections.abc import Sequence

from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.strict import Strict

Kept = Room[Meter] | Strict[Meter]
Lacking = Sequence[tuple[Kept, int]]
"""Rooms with the units that they lack, strict meters with the change that has to be durable."""
