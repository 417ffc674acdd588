"""What deploy knows and does: an application's fold, what is seen of it, and actions on a cluster.

The log of an application has one fact a record, so the number of facts folded is the version in
``midstage.apps.v1``; the version of a spec is that of its own fact. Workloads are named
``<app>-<revision>``. What is seen comes from facts alone; nothing is read freshly to be written.
"""

from dataclasses import dataclass
from datetime import datetime

from midstage.cluster.objects import Workload
from midstage.contracts.apps import (
    AppRemoved,
    AppSpec,
    AppSpecified,
    How,
    RolloutEnded,
    RolloutStarted,
    Verdict,
)
from midstage.contracts.cluster import NodeObserved, PodObserved, WorkloadObserved

NAMESPACE = "default"
POOL_LABEL = "midstage.dev/pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specified:
    """A spec and the version that it came with."""

    version: int
    fact: AppSpecified


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The newest rollout; ``ended`` is its last verdict, None while it goes on."""

    started: RolloutStarted
    ended: RolloutEnded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The fold of one application's log; ``history`` are its newest specs, oldest first.

    ``removed`` stands while the application shall be gone; ``since`` is the version of the newest
    removal: what was specified before it is not undone to.
    """

    version: int = 0
    history: tuple[Specified, ...] = ()
    removed: AppRemoved | None = None
    since: int = 0
    rollout: Rollout | None = None

    @property
    def current(self) -> Specified | None:
        """The spec that holds; None where the application was never there or is removed."""
        return None if self.removed or not self.history else self.history[-1]

    @property
    def carries(self) -> int:
        """The version that workloads carry which were made as this state says."""
        return self.since if self.removed or not self.history else self.history[-1].version


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What hpa decided last; ``replicas`` None: nothing, or it scales no more."""

    replicas: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecifyApp:
    """Asked for: the application shall be so."""

    app: str
    spec: AppSpec
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveApp:
    """Asked for: the application shall be gone."""

    app: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoApp:
    """Asked for: back to the newest spec of another revision than the one that holds."""

    app: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRollout:
    """Seen: the spec of version ``carries`` has no rollout yet."""

    app: str
    carries: int
    revision: str
    previous: str
    how: How
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRollout:
    """Seen: the rollout of ``revision`` has come to ``verdict``."""

    app: str
    revision: str
    verdict: Verdict
    reason: str
    at: datetime


Wish = SpecifyApp | UndoApp
Seen = StartRollout | EndRollout
Command = SpecifyApp | RemoveApp | UndoApp | StartRollout | EndRollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """All nodes and pods of the cluster, for the question what fits."""

    nodes: tuple[NodeObserved, ...] = ()
    pods: tuple[PodObserved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that is known of one application at ``now``.

    ``stoppable``: uids of draining pods that nobody waits for any more. ``room`` None: the cluster
    is not known now.
    """

    app: str
    state: App
    scale_version: int = 0
    scale: Scale = Scale()
    workloads: tuple[WorkloadObserved, ...] = ()
    pods: tuple[PodObserved, ...] = ()
    stoppable: frozenset[str] = frozenset()
    room: Room | None = None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PutWorkload:
    """Make it so; ``expected`` is the resource version that was seen, 0: none was.

    ``ending``: uid and resource version of the pods that may end by it.
    """

    workload: Workload
    expected: int
    ending: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteWorkload:
    """Remove it with its pods, all of which are stoppable."""

    name: str
    expected: int
    ending: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPod:
    """Take the pod out of the balancers, or (``draining`` False) back in."""

    name: str
    uid: str
    draining: bool = True


Action = PutWorkload | DeleteWorkload | DrainPod


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done now: actions on the cluster in this order, then a fact to be told."""

    actions: tuple[Action, ...] = ()
    seen: Seen | None = None


def workload_name(app: str, revision: str) -> str:
    """The name of the workload that runs this revision."""
    return f"{app}-{revision}"
