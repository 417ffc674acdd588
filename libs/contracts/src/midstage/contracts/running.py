"""What a replica runs with beside its program: references, volumes, checks, and where it may be.

Parts of an application's spec, written by teams, carried in ``midstage.apps.v1``. Contents of
secrets and configs are never in the log: a spec names them, the cluster has them.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
EnvName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=253)]
MountPath = Annotated[str, msgspec.Meta(pattern="^/", max_length=1024)]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of these parts; deploy refuses unknown fields, readers of the log ignore them."""


class Source(Part, frozen=True, kw_only=True):
    """Where the value of an environment variable stands: ``key`` of exactly one of the two.

    ``secret``: the name of a secret in the cluster. ``config``: that of a config map.
    """

    secret: Word | None = None
    config: Word | None = None
    key: Word


class Volume(Part, frozen=True, kw_only=True):
    """What is mounted at ``path``: exactly one of a secret, a config, a claim, MiB of scratch.

    ``secret``, ``config``: the keys of it are files. ``claim``: the name of a volume claim in the
    cluster. ``scratch_mb``: so many MiB that are empty at the start and gone with the replica.
    ``read_only``: replicas can't write to it; they never can to a secret or a config.
    """

    path: MountPath
    secret: Word | None = None
    config: Word | None = None
    claim: Word | None = None
    scratch_mb: Annotated[int, msgspec.Meta(ge=1, le=16_777_216)] | None = None
    read_only: bool = False


class Check(Part, frozen=True, kw_only=True):
    """A shell script that has to end with 0 in the replica before it counts as ready.

    ``name``: how reasons call it. ``script``: what ``/bin/sh`` runs in the replica, or in a
    document ``script_file``: the name of its file, relative to the spec. It may take ``timeout_s``
    seconds, and is tried again until ``within_s`` seconds after the start; then the replica is
    restarted.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")]
    script: Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]
    timeout_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 10.0
    within_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 300.0


class Spread(Part, frozen=True, kw_only=True):
    """Replicas are spread over the values of the node label ``over``.

    The counts of any two differ by ``max_skew`` at most; where that can't be, a replica waits if
    it is ``required``, else it goes where it fits.
    """

    over: Word
    max_skew: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    required: bool = False


class Disruption(Part, frozen=True, kw_only=True):
    """How many replicas may be away at once, taken by an update or by whoever empties nodes:
    ``max_unavailable``.
    """

    max_unavailable: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


class Need(StrEnum):
    """What a replica needs of its node, instead of a place: the platform finds the pool."""

    BIG_CORES = "big cores"  # nodes labelled midstage.dev/big-cores=true
    SPOT = "spot"  # nodes labelled midstage.dev/spot=true; their taint of that name is tolerated


class OnFailure(StrEnum):
    """What happens to a rollout that failed."""

    HOLD = "hold"  # what served goes on serving, what was started stays to be looked at
    UNDO = "undo"  # the newest revision that was complete is specified again


class OnDrift(StrEnum):
    """What happens to fields of ours that somebody else has changed in the cluster."""

    CORRECT = "correct"
    TOLERATE = "tolerate"  # they are shown, and left


class Strategy(StrEnum):
    """How revisions replace each other."""

    ROLLING = "rolling"
