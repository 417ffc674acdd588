"""What deploy knows and does: an application's fold, what is seen of it, and actions on a cluster.

The log of an application has one fact a record, so the number of facts folded is the version in
``midstage.apps.v1``; the version of a spec is that of its own fact. Workloads are named
``<app>-<revision>``. What is seen comes from facts alone; nothing is read freshly to be written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from midstage.cluster.objects import Workload
from midstage.contracts.apps import (
    AppRemoved,
    AppSpec,
    AppSpecified,
    How,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutStarted,
    Verdict,
)
from midstage.contracts.cluster import NodeObserved, PodObserved, WorkloadObserved
from midstage.contracts.policy import Policy

NAMESPACE = "default"
POOL_LABEL = "midstage.dev/pool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specified:
    """A spec and the version that it came with; ``complete``: all replicas have once run it."""

    version: int
    fact: AppSpecified
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The newest rollout; ``ended`` is its last verdict, None while it goes on.

    ``progress`` is what was told last of it; ``resumed_at``: since when its time counts, where it
    had been paused.
    """

    started: RolloutStarted
    ended: RolloutEnded | None = None
    progress: RolloutProgressed | None = None
    resumed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The fold of one application's log; ``history`` are its newest specs, oldest first.

    ``removed`` stands while the application shall be gone; ``since`` is the version of the newest
    removal: what was specified before it is not undone to. ``paused`` names the revision whose
    rollout goes no further.
    """

    version: int = 0
    history: tuple[Specified, ...] = ()
    removed: AppRemoved | None = None
    since: int = 0
    rollout: Rollout | None = None
    paused: RolloutPaused | None = None

    @property
    def current(self) -> Specified | None:
        """The spec that holds; None where the application was never there or is removed."""
        return None if self.removed or not self.history else self.history[-1]

    @property
    def carries(self) -> int:
        """The version that workloads carry which were made as this state says."""
        return self.since if self.removed or not self.history else self.history[-1].version

    @property
    def rolls(self) -> bool:
        """Whether a rollout of the spec that holds goes on, or is about to begin."""
        current, rollout = self.current, self.rollout
        if current is None:
            return False
        begins = rollout is None or rollout.started.revision != current.fact.revision
        return begins or (rollout is not None and rollout.ended is None)

    @property
    def is_paused(self) -> bool:
        """Whether that rollout goes no further now."""
        current, paused = self.current, self.paused
        if current is None or paused is None:
            return False
        return paused.revision == current.fact.revision and self.rolls


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What hpa decided last; ``replicas`` None: nothing, or it scales no more.

    ``ordered``: somebody ordered this count, outside of the policy that it was decided under.
    """

    replicas: int | None = None
    at: datetime | None = None
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecifyApp:
    """Asked for: the application shall be so."""

    app: str
    spec: AppSpec
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleApp:
    """Asked for: the same spec, with this policy."""

    app: str
    policy: Policy
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
    """Asked for: back to an earlier spec.

    ``to`` is a revision or a version; empty: the newest spec of another revision.
    """

    app: str
    by: str
    why: str
    at: datetime
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartApp:
    """Asked for: the same spec, with new replicas."""

    app: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseApp:
    """Asked for: the rollout shall go no further."""

    app: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeApp:
    """Asked for: the paused rollout shall go on."""

    app: str
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoFailed:
    """Seen: the rollout of the spec of version ``carries`` failed, and its policy is to undo."""

    app: str
    carries: int
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeReferences:
    """Seen: what is in the secrets and configs that the spec of version ``carries`` names.

    New replicas are due where one is another than it was; what is seen for the first time is noted.
    """

    app: str
    carries: int
    references: Mapping[str, str]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressRollout:
    """Seen: how far the rollout of ``revision`` is, and what it waits for."""

    app: str
    revision: str
    wanted: int
    ready: int
    old: int
    reason: str
    at: datetime


Wish = SpecifyApp | ScaleApp | UndoApp | RestartApp
Asked = Wish | RemoveApp | PauseApp | ResumeApp
Seen = StartRollout | EndRollout | ProgressRollout | UndoFailed | TakeReferences
Command = Asked | Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """All nodes and pods of the cluster, for the question what fits.

    ``emptied``: the names of the nodes whose pods shall move elsewhere.
    """

    nodes: tuple[NodeObserved, ...] = ()
    pods: tuple[PodObserved, ...] = ()
    emptied: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the cluster said when it refused a write, and how often it has in a row."""

    words: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fight:
    """Somebody sets the same fields again and again: corrected ``times`` times.

    ``waits``: they are left for the moment.
    """

    drift: tuple[str, ...]
    times: int
    waits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that is known of one application at ``now``.

    ``stoppable``: uids of draining pods that nobody waits for any more. ``room`` None: the cluster
    is not known now. ``references``: fingerprints by name of all that the spec names and that is
    there; None: not known now. ``fights`` by workload. ``astray``: what somebody has made of that
    which goes with the workloads, its fight under ``companions``.
    """

    app: str
    namespace: str = NAMESPACE
    state: App
    scale_version: int = 0
    scale: Scale = Scale()
    workloads: tuple[WorkloadObserved, ...] = ()
    pods: tuple[PodObserved, ...] = ()
    stoppable: frozenset[str] = frozenset()
    room: Room | None = None
    references: Mapping[str, str] | None = None
    refusal: Refusal | None = None
    astray: tuple[str, ...] = ()
    fights: Mapping[str, Fight] = field(default_factory=dict)
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
class ScaleWorkload:
    """Make it smaller, whatever it runs; for workloads whose template the log does not know."""

    name: str
    replicas: int
    expected: int
    ending: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptPods:
    """Mark the pods that an adopted workload has made since; it shall have ``replicas``."""

    name: str
    replicas: int


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


Action = PutWorkload | ScaleWorkload | AdoptPods | DeleteWorkload | DrainPod


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done now: actions on the cluster in this order, then a fact to be told."""

    actions: tuple[Action, ...] = ()
    seen: Seen | None = None


def companions(app: str) -> str:
    """How what goes with an application is called; no workload can have that name."""
    return f"{app}/"


def workload_name(app: str, revision: str) -> str:
    """The name of the workload that runs this revision."""
    return f"{app}-{revision}"
