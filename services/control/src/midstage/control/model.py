"""What control knows while it watches a cluster: values, no state that changes.

A ``Stamp`` says under which lease a fact is written; readers take the facts of the highest one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from midstage.cluster.objects import NodeUse, PodUse, QuotaUse
from midstage.contracts.cluster import ClusterFact
from midstage.contracts.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Whose facts: the cluster, and the epoch of the lease that their writer holds."""

    cluster: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """One GPU, or a part of one: its node, and the pod that has it, if any; None is unknown.

    ``share`` of its time in use (0 to 1), ``memory_mb`` MiB in use of ``memory_total_mb``.
    """

    node: str
    share: float | None = None
    memory_mb: float | None = None
    memory_total_mb: float | None = None
    namespace: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """One measurement of a cluster; what could not be asked is empty, and unknown."""

    pods: Sequence[PodUse] = ()
    nodes: Sequence[NodeUse] = ()
    gpus: Sequence[GpuUse] = ()
    quotas: Sequence[QuotaUse] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in the stream of changes: the offset to be read next of each partition, by number.

    As text it is an SSE event's id: the offsets with dots between.
    """

    offsets: tuple[int, ...]

    def __str__(self) -> str:
        """The text that ``views.position`` reads."""
        return ".".join(str(offset) for offset in self.offsets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One fact of the stream, as it stands there: its event's type and JSON, and its time."""

    type: str
    at: datetime
    fact: ClusterFact
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a listener hears: a change, or None, because nothing happened for a while.

    ``place`` is where to go on after it; None: not from here.
    """

    happened: Happened | None
    place: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Specified:
    """What the newest spec of an application says here: whether it is ``there``, how it scales."""

    there: bool = False
    policy: Policy | None = None
