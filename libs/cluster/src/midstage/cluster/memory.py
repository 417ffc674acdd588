"""A cluster in memory: a verified fake that passes the same suite, and the hands of a test.

No process runs: the test says what became of each pod. Everything else (versions, conflicts, the
order of ending, the scheduler's words, watches, leases) is the local cluster's own ``State``.
Thread-safe; a watch waits for a change as one over the wire does.
"""

import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from midstage.cluster.check import refuse_adoption
from midstage.cluster.leases import Leases
from midstage.cluster.objects import (
    Change,
    Lease,
    Listing,
    Node,
    NodeUse,
    Pod,
    PodUse,
    Preview,
    QuotaUse,
    Reference,
    Template,
    Workload,
)
from midstage.cluster.protocol import Ending
from midstage.cluster.state import LOST_FOR, State
from midstage.cluster.usage import by_node
from midstage.contracts.cluster import Amount, Phase
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.contracts.quotas import taken_by
from midstage.contracts.running import Disruption

_BOOKMARK_S = 1.0
_POLL_S = 0.2


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryCluster:
    """Implements ``Cluster``; ``now`` tells the time, ``cut`` makes it unreachable."""

    def __init__(
        self,
        *,
        name: str = "memory",
        nodes: Sequence[Node] = (
            Node(name="node-1", capacity=Amount(cpu=64, memory_mb=262_144, gpus=8)),
        ),
        now: Callable[[], datetime] = _utc_now,
        lost_for: timedelta = LOST_FOR,
    ) -> None:
        """An empty cluster of ``nodes``."""
        self.name = name
        self._now = now
        self._state = State(nodes=nodes, fresh=lambda: uuid.uuid4().hex, lost_for=lost_for)
        self._leases = Leases()
        self._use: dict[str, PodUse] = {}
        self._quotas: dict[str, QuotaUse] = {}
        self._logs: dict[str, list[bytes]] = {}
        self._changed = threading.Condition()
        self._cut = ""
        self._cuts = 0

    def list(self) -> Listing:
        """As ``Cluster.list``."""
        with self._reached() as state:
            return state.listing()

    def watch(self, since: int) -> Iterator[Change]:
        """As ``Cluster.watch``."""
        with self._reached():
            cuts = self._cuts
        while True:
            with self._changed:
                if self._cuts != cuts:
                    raise UnavailableError(f"{self.name}: the watch broke off")
                changes = self._state.after(since)
                if not changes:
                    self._changed.wait(_BOOKMARK_S)
                    changes = self._state.after(since) if self._cuts == cuts else ()
            yield from changes
            since = changes[-1].resource_version if changes else since
            if not changes:
                yield Change(resource_version=since)

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        """As ``Cluster.put_workload``."""
        with self._reached() as state:
            return state.put_workload(workload, expected=expected, now=self._now(), ending=ending)

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        """As ``Cluster.scale_workload``."""
        with self._reached() as state:
            return state.scale_workload(
                name, replicas=replicas, expected=expected, now=self._now(), ending=ending
            )

    def adopt(self, name: str, *, app: str) -> Workload:  # noqa: ARG002  nobody else is here
        """As ``Cluster.adopt``: nobody else makes workloads here, so it is always refused."""
        with self._reached() as state:
            refuse_adoption(state.workload(name), name)

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        """As ``Cluster.preview``."""
        with self._reached() as state:
            return state.preview(workload, expected=expected)

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        """As ``Cluster.delete_workload``."""
        with self._reached() as state:
            state.delete_workload(name, expected=expected, now=self._now(), ending=ending)

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        """As ``Cluster.drain_pod``."""
        with self._reached() as state:
            return state.drain_pod(name, uid=uid, draining=draining)

    def usage(self) -> Sequence[PodUse]:
        """What ``use`` said of each pod that still runs."""
        with self._reached() as state:
            return [self._use[pod.name] for pod in state.pods() if pod.name in self._use]

    def node_usage(self) -> Sequence[NodeUse]:
        """The pods of each node together."""
        return by_node(self.usage())

    def quotas(self) -> Sequence[QuotaUse]:
        """What ``allow`` said, of the pods that are there; nothing is refused by it here."""
        with self._reached() as state:
            there = [pod.requests for pod in state.pods()]
            return [
                msgspec.structs.replace(each, used=taken_by(there, each.hard))
                for each in self._quotas.values()
            ]

    def cordon(self, node: str, *, on: bool, emptied: bool = False) -> Node:
        """As ``Cluster.cordon``."""
        with self._reached() as state:
            return state.cordon(node, on=on, emptied=emptied, now=self._now())

    def evict_pod(self, name: str, *, uid: str) -> None:
        """As ``Cluster.evict_pod``."""
        with self._reached() as state:
            state.evict_pod(name, uid=uid, now=self._now())

    def logs(
        self, pod: str, *, follow: bool = False, tail: int | None = None, previous: bool = False
    ) -> Iterator[bytes]:
        """What ``say`` wrote; ``follow`` goes on until the pod is gone."""
        written = self._written(pod, previous=previous)
        lines = written.splitlines(keepends=True)
        yield from lines if tail is None else lines[max(0, len(lines) - tail) :]
        while follow:
            with self._changed:
                more = self._logs.get(pod, [b""])[-1][len(written) :]
                if not more and (self._state.pod(pod) is None or not self._changed.wait(_POLL_S)):
                    follow = self._state.pod(pod) is not None
            if more:
                yield more
            written += more

    def astray(self, _wanted: Mapping[str, Disruption | None]) -> Mapping[str, tuple[str, ...]]:
        """Nothing: nothing goes with workloads here."""
        return {}

    def take_lease(self, name: str, *, holder: str, within: timedelta) -> Lease:
        """As ``Cluster.take_lease``."""
        with self._reached():
            return self._leases.take(name, holder=holder, within=within, now=self._now())

    def references(self, references: Collection[Reference]) -> Mapping[Reference, str]:  # noqa: ARG002  a local cluster has none
        """As ``Cluster.references``: a local cluster has neither secrets nor configs."""
        return {}

    def pods(self, workload: str | None = None) -> Sequence[Pod]:
        """The pods now, of one workload or all."""
        with self._changed:
            return [pod for pod in self._state.pods() if workload in (None, pod.workload)]

    def start(self, pod: str, *, address: str = "127.0.0.1:9") -> None:
        """Its process runs, for the first time or again."""
        with self._told() as state:
            state.started(pod, address=address, now=self._now())
            self._logs.setdefault(pod, []).append(b"")

    def ready(self, pod: str, *, ready: bool = True, message: str = "") -> None:
        """Its readiness probe says so; a pod that was not started is started first."""
        known = self._state.pod(pod)
        if known is not None and not known.address:
            self.start(pod)
        with self._told() as state:
            state.answered(pod, ready=ready, now=self._now(), message=message)

    def fail(
        self, pod: str, *, exit_code: int = 1, message: str = "", reason: str = "CrashLoopBackOff"
    ) -> None:
        """Its process ended, and waits for its next start."""
        with self._told() as state:
            state.ended(pod, exit_code=exit_code, reason=reason, message=message, now=self._now())

    def end(self, pod: str) -> None:
        """It was told to end, and has."""
        with self._told() as state:
            state.stopped(pod, now=self._now())

    def settle(self, *, all_goes_well: bool = True) -> None:
        """Time has passed: what was lost is replaced, and where ``all_goes_well`` pods that start
        get ready and those told to end are gone.
        """
        for pod in self.pods() if all_goes_well else ():
            if pod.phase is Phase.STOPPING:
                self.end(pod.name)
            elif pod.phase is Phase.STARTING:
                self.ready(pod.name)
        with self._told() as state:
            state.settle(self._now())

    def template(self, pod: str) -> Template:
        """What the pod runs."""
        with self._changed:
            return self._state.template(pod)

    def use(self, pod: str, *, cpu: float, memory_mb: float, gpu: float | None = None) -> None:
        """It uses so much from now on."""
        with self._told() as state:
            known = state.pod(pod)
            node = known.node if known else ""
            self._use[pod] = PodUse(name=pod, node=node, cpu=cpu, memory_mb=memory_mb, gpu=gpu)

    def allow(self, quota: str, hard: Mapping[str, float]) -> None:
        """There is such a quota from now on; with nothing in it there is none."""
        with self._told():
            self._quotas.pop(quota, None)
            if hard:
                self._quotas[quota] = QuotaUse(name=quota, hard=dict(hard))

    def say(self, pod: str, text: bytes) -> None:
        """It writes ``text``."""
        with self._told():
            runs = self._logs.setdefault(pod, [b""])
            runs[-1] += text

    def set_node(
        self,
        name: str,
        *,
        ready: bool | None = None,
        schedulable: bool | None = None,
        capacity: Amount | None = None,
    ) -> Node:
        """A node dies, returns, is cordoned, or has another size."""
        with self._told() as state:
            return state.set_node(
                name, ready=ready, schedulable=schedulable, capacity=capacity, now=self._now()
            )

    def forget(self) -> None:
        """Watches from before have to list again."""
        with self._told() as state:
            state.forget()

    def cut(self, reason: str = "no route to host") -> None:
        """From now on it can't be asked, and open watches break."""
        with self._told():
            self._cut, self._cuts = reason, self._cuts + 1

    def mend(self) -> None:
        """It can be asked again."""
        with self._told():
            self._cut = ""

    def _written(self, pod: str, *, previous: bool) -> bytes:
        with self._reached() as state:
            if state.pod(pod) is None:
                raise RefusedError(f"there is no pod {pod}", status=404)
            runs = self._logs.get(pod, [b""])
            if previous and len(runs) == 1:
                raise RefusedError(f"{pod} has had one run only", status=404)
            return runs[-2 if previous else -1]

    @contextmanager
    def _reached(self) -> Iterator[State]:
        """The state for one call of a client: UnavailableError while it is cut off."""
        with self._changed:
            if self._cut:
                raise UnavailableError(f"{self.name} does not answer: {self._cut}")
            yield self._state
            self._changed.notify_all()

    @contextmanager
    def _told(self) -> Iterator[State]:
        """The state for one thing that happens in the cluster."""
        with self._changed:
            yield self._state
            self._changed.notify_all()
