"""How HPA v2 sorts the pods of a workload before it counts them, and what they use.

Of CPU a pod that is starting is unready whatever its probe says, for its figures are of its start;
of other resources and metrics readiness does not count. Ages are seconds before now.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

CPU_INITIALIZATION_S: Final = 300.0
INITIAL_READINESS_DELAY_S: Final = 30.0
"""Both are defaults of kube-controller-manager."""


class Phase(StrEnum):
    """A pod's phase."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


_FAILED, _PENDING = Phase.FAILED, Phase.PENDING


class Pod(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a pod; None: it is not known (or, of ``ready``, that there is no condition).

    ``metric_m`` is its usage or its value, ``request_m`` what it requests of the resource. A
    Struct, for one is made of each pod by each rule: a dataclass takes five times as long.
    """

    name: str
    phase: Phase = Phase.RUNNING
    deleting: bool = False
    ready: bool | None = None
    started_age_s: float | None = None
    transition_age_s: float = 0.0
    request_m: int | None = None
    metric_m: int | None = None
    metric_age_s: float = 0.0
    window_s: float = 60.0

    @property
    def serves(self) -> bool:
        """Whether it runs and is ready."""
        return self.phase is Phase.RUNNING and self.ready is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How long a pod's CPU is that of its start."""

    initialization_s: float = CPU_INITIALIZATION_S
    delay_s: float = INITIAL_READINESS_DELAY_S


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Pods by name; those that are ready count by what they use.

    ``unready``: starting or pending. ``missing``: not measured. ``ignored``: failed or deleting.
    """

    used: Mapping[str, int]
    unready: Set[str]
    missing: Set[str]
    ignored: Set[str]


def grouped(pods: Sequence[Pod], *, cpu: bool, readiness: Readiness) -> Groups:
    """Each pod in one group."""
    used: dict[str, int] = {}
    unready: set[str] = set()
    missing: set[str] = set()
    ignored: set[str] = set()
    for pod in pods:
        phase = pod.phase
        if pod.deleting or phase is _FAILED:
            ignored.add(pod.name)
        elif phase is _PENDING:
            unready.add(pod.name)
        elif pod.metric_m is None:
            missing.add(pod.name)
        elif cpu and _unready(pod, readiness):
            unready.add(pod.name)
        else:
            used[pod.name] = pod.metric_m
    return Groups(used=used, unready=unready, missing=missing, ignored=ignored)


def _unready(pod: Pod, readiness: Readiness) -> bool:
    started_s = pod.started_age_s
    if pod.ready is None or started_s is None:
        return True
    if started_s < readiness.initialization_s:
        # its figure is from before it became ready, at least in part
        early = pod.metric_age_s > pod.transition_age_s - pod.window_s
        return not pod.ready or early
    # it never was ready: its condition is that of its start
    return not pod.ready and pod.transition_age_s > started_s - readiness.delay_s
