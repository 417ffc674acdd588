"""What one replica carries within a latency: the target, what was seen, what was learned of it.

``Latency`` is a part of ``policy.Policy``, written by teams. The rest is a part of ``scaling``:
an evaluation carries what it had learned before, what was seen since, and what it has learned.
"""

from datetime import datetime
from typing import Annotated

import msgspec

Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=3_600_000)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Latency(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What 99 of 100 requests should take; with both targets the one that wants more counts.

    ``p99_ms``: at most so long to the end of the answer. ``ttft_p99_ms``: at most so long to its
    first token. ``drain_s``: in that time a queue should be worked off.
    """

    p99_ms: Milliseconds | None = None
    ttft_p99_ms: Milliseconds | None = None
    drain_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 120.0


class CapacitySample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all replicas did together in ``seconds`` known seconds of a block that ended ``until``.

    ``requests`` ended in them, without refused ones; ``concurrency``: the mean of what was in
    flight and pending. ``p99_ms``, ``ttft_p99_ms``: of those requests; None: too few had one.
    """

    until: datetime
    seconds: Count
    requests: Count
    concurrency: float
    p99_ms: float | None = None
    ttft_p99_ms: float | None = None


class Level(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """At ``load`` requests/s each, the replicas had ``p99_ms`` (a harmonic mean).

    ``residence_s``: so long a request was with a replica in the mean. ``weight``: samples of 100
    requests or more that say so, older and contradicted ones in part.
    """

    load: float
    p99_ms: float
    residence_s: float
    weight: float


class Learned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was learned of the samples up to ``until``; levels by rising load, 20 at most."""

    until: datetime | None = None
    p99: tuple[Level, ...] = ()
    ttft: tuple[Level, ...] = ()


class CapacityInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the rule of latency goes by beside the load and the pods.

    ``samples``: those of the last minute, oldest first. ``in_flight``: in flight and pending in
    the newest known second; ``growth_per_s``: by so much it grew each second of the policy's
    window. None is unknown. ``learned``: what the last evaluation had learned.
    """

    samples: tuple[CapacitySample, ...] = ()
    in_flight: float | None = None
    growth_per_s: float | None = None
    learned: Learned | None = None
