"""A small world without threads or time of its own: a cluster, edges, and deploys that look at it.

The cluster is the local cluster's own ``State``. A deploy sees it as control would tell it: facts
that come late, workloads' and pods' each with a lag of its own. An edge hears of a mark late too,
and then has requests open for a while. Every write is checked as it happens: a pod that a write
ends was marked, and had been let go by every edge or had its drain time (``wrongs``).
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import TypeVar

import msgspec
from prometheus_client import CollectorRegistry

from midstage.cluster.objects import ADOPTED, Listing, Node, Pod, Preview, Reference, Workload
from midstage.cluster.protocol import ConflictError, Ending
from midstage.cluster.state import State
from midstage.contracts.apps import AppSpec
from midstage.contracts.cluster import ClusterFact, Phase
from midstage.contracts.edges import SourceBeat
from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.routes import Endpoint, RoutesApplied, Way
from midstage.contracts.running import Disruption
from midstage.deploy.metrics import Metrics
from midstage.deploy.model import RemoveApp, Scale, SpecifyApp, UndoApp
from midstage.deploy.stream.companions import Companions
from midstage.deploy.stream.reconcile import Reconciler
from midstage.deploy.stream.references import References
from midstage.deploy.stream.surroundings import Surroundings
from midstage.eventlog.failpoint import nothing
from midstage.eventlog.log import Partition, Record
from midstage.testkit.clock import NOON
from tests.deploy.facts import (
    CLUSTER,
    gone,
    node,
    observed_node,
    observed_pod,
    observed_workload,
    reached,
)
from tests.deploy.logs import Log, Scales

T = TypeVar("T")

APP = "chat"
STEP_S = 0.25
_RECORD = Record(partition=Partition(topic="t", number=0), offset=0, key=None, value=b"")


@dataclass(kw_only=True)
class Edge:
    """Marks reach it ``lag`` steps late; requests are open ``open_s`` longer (None: for ever)."""

    name: str
    lag: int = 0
    open_s: float | None = 0.5
    heard_at: dict[str, float] = field(default_factory=dict)

    def drained(self, pod: Pod, now_s: float) -> bool:
        heard = self.heard_at.get(pod.uid)
        return heard is not None and self.open_s is not None and now_s - heard >= self.open_s


class Seat:
    """One deploy process: what it sees, ``lag`` steps late of pods and of workloads."""

    def __init__(self, world: "World", *, pods_lag: int, workloads_lag: int) -> None:
        self.pods_lag, self.workloads_lag = pods_lag, workloads_lag
        references = References(world, monotonic=world.monotonic)
        companions = Companions(world, monotonic=world.monotonic)
        self.around = Surroundings(
            cluster=CLUSTER,
            scales=world.scales,
            references=references,
            accompanied=companions,
            now=world.now,
            monotonic=world.monotonic,
        )
        self._seen: dict[str, ClusterFact] = {}
        self.reasons: dict[str, str] = {}
        self.reconciler = Reconciler(
            apps=world.log,
            around=self.around,
            cluster=world,
            references=references,
            accompanied=companions,
            unready=lambda: None,
            hears_edges=lambda: True,
            monotonic=world.monotonic,
            metrics=Metrics(CollectorRegistry()),
            reached=nothing,
        )

    def told(self, fact: Fact) -> None:
        """Something comes to its ears."""
        event = Event(id="e", source="s", type="t", time=NOON, data=fact)
        if isinstance(fact, SourceBeat | RoutesApplied):
            self.around.edge_fact(event, _RECORD)
        else:
            self.around.cluster_fact(event, _RECORD)

    def look(self, world: "World") -> None:
        """See the cluster as it was ``lag`` steps ago."""
        pods, others = world.before(self.pods_lag), world.before(self.workloads_lag)
        facts: list[ClusterFact] = [observed_pod(pod) for pod in pods.pods if world.is_told(pod)]
        facts += [
            msgspec.structs.replace(observed_workload(each), reason=self.reasons.get(each.app, ""))
            for each in others.workloads
        ]
        facts += [observed_node(node) for node in others.nodes]
        now = {f"{type(fact).__name__}/{fact.name}": fact for fact in facts}
        for key, fact in now.items():
            if self._seen.get(key) != fact:
                self.told(fact)
        for key in self._seen.keys() - now.keys():
            version = (pods if key.startswith("Pod") else others).resource_version
            self.told(gone(self._seen[key], version))
        self._seen = now


class World:
    """Everything together; also the cluster that the deploys write to."""

    name = CLUSTER

    def __init__(
        self,
        *,
        nodes: Sequence[Node] = (),
        edges: Sequence[Edge] = (),
        priorities: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.passed_s = 0.0
        numbers = count(1)
        self.state = State(
            nodes=nodes or [node("node-1", cpu=64)],
            fresh=lambda: f"uid{next(numbers):05d}",
            priorities=priorities,
        )
        self.log, self.scales, self.edges = Log(), Scales(), list(edges)
        self.seats: list[Seat] = []
        self.start_s: Callable[[Pod], float | None] = lambda _pod: 1.0
        self.stop_s = 0.5
        self.wrongs: list[str] = []
        self.least_serving: list[int] = []
        self.conflicts = self.tries = 0
        self.thinking_s = 0.0
        self.writes: list[str] = []
        self.content: dict[str, str] = {}
        self.strays: tuple[str, ...] = ()
        self.marked: set[str] | None = None
        self.evictable: frozenset[str] = frozenset()
        self.refuses: Callable[[Workload], str] = lambda _workload: ""
        self._past: list[Listing] = [self.state.listing()]
        self._stopping: dict[str, float] = {}
        self._marked: dict[str, float] = {}
        self._never_served: set[str] = set()
        self._placed: dict[str, float] = {}

    def seat(self, *, pods_lag: int = 0, workloads_lag: int = 0) -> Seat:
        seat = Seat(self, pods_lag=pods_lag, workloads_lag=workloads_lag)
        self.seats.append(seat)
        return seat

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return self.passed_s

    def before(self, steps: int) -> Listing:
        return self._past[max(0, len(self._past) - 1 - steps)]

    def specify(self, spec: AppSpec, *, app: str = APP) -> None:
        self.log.command(SpecifyApp(app=app, spec=spec, by="t", why="", at=self.now()))

    def undo(self) -> None:
        self.log.command(UndoApp(app=APP, by="t", why="", at=self.now()))

    def remove(self) -> None:
        self.log.command(RemoveApp(app=APP, by="t", why="", at=self.now()))

    def scale(self, replicas: int) -> None:
        version = self.scales.state(APP)[0] + 1
        self.scales.counts[APP] = (version, Scale(replicas=replicas, at=self.now()))

    def step(self) -> None:
        """A quarter of a second: the cluster lives, edges speak, each deploy turns once."""
        self.passed_s += STEP_S
        self._live()
        self._past.append(self.state.listing())
        self._edges_speak()
        for seat in self.seats:
            seat.told(reached(self.now()))
            seat.look(self)
            begin_s = time.process_time()
            seat.reconciler.turn()
            self.thinking_s += time.process_time() - begin_s
        self.least_serving.append(len(self.serving()))

    def until(self, condition: Callable[[], bool], *, within_s: float = 120) -> None:
        """Step until it holds; AssertionError after so much of the world's time."""
        until = self.passed_s + within_s
        while not condition():
            assert self.passed_s < until, f"not within {within_s} s; {self.told()}"
            self.step()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def told(self) -> str:
        pods = [
            f"{pod.name} {pod.phase} ready={pod.ready} draining={pod.draining} {pod.reason}"
            for pod in self.state.pods()
        ]
        return "\n".join(["", *pods, *(str(fact) for fact in self.log.facts[-3:])])

    def serving(self) -> list[Pod]:
        return [pod for pod in self.state.pods() if pod.ready and not pod.draining]

    def settled(self) -> bool:
        """Whether the newest spec is rolled out and nothing is under way."""
        app = self.log.apps[APP]
        if app.removed:
            return not self.state.workloads() and not self.state.pods()
        rollout, current = app.rollout, app.current
        is_done = (
            rollout is not None
            and rollout.ended is not None
            and current is not None
            and rollout.started.revision == current.fact.revision
        )
        return is_done and not any(pod.draining for pod in self.state.pods())

    def put_workload(self, workload: Workload, *, expected: int, ending: Ending = None) -> Workload:
        self.tries += 1
        if words := self.refuses(workload):
            raise RefusedError(words)
        if not workload.tolerates:
            self.strays = ()
        return self._checked(
            f"put {workload.name} {workload.replicas}",
            lambda: self.state.put_workload(
                workload, expected=expected, now=self.now(), ending=ending
            ),
        )

    def scale_workload(
        self, name: str, *, replicas: int, expected: int, ending: Ending = None
    ) -> Workload:
        return self._checked(
            f"scale {name} {replicas}",
            lambda: self.state.scale_workload(
                name, replicas=replicas, expected=expected, now=self.now(), ending=ending
            ),
        )

    def adopt(self, name: str, *, app: str) -> Workload:
        known = self.state.workload(name)
        assert known is not None
        self.writes.append(f"adopt {name}")
        self.marked = {pod.uid for pod in self.state.pods()}
        return known

    def is_told(self, pod: Pod) -> bool:
        """Whether its labels say whose it is; those of an adopted one have to be marked."""
        return pod.revision != ADOPTED or self.marked is None or pod.uid in self.marked

    def delete_workload(self, name: str, *, expected: int, ending: Ending = None) -> None:
        self._checked(
            f"delete {name}",
            lambda: self.state.delete_workload(
                name, expected=expected, now=self.now(), ending=ending
            ),
        )

    def drain_pod(self, name: str, *, uid: str, draining: bool) -> Pod:
        pod = self._checked(
            f"drain {name} {draining}",
            lambda: self.state.drain_pod(name, uid=uid, draining=draining),
        )
        if draining:
            self._marked.setdefault(uid, self.passed_s)
            if pod.ready_at is None:
                self._never_served.add(uid)
        else:
            self._marked.pop(uid, None)
            self._never_served.discard(uid)
            for edge in self.edges:
                edge.heard_at.pop(uid, None)
        return pod

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        return Preview()

    def references(self, references: Collection[Reference], /) -> Mapping[Reference, str]:
        found = {each: self.content.get(f"{each.kind}/{each.name}") for each in references}
        return {each: value for each, value in found.items() if value is not None}

    def astray(self, wanted: Mapping[str, Disruption | None], /) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(wanted, self.strays) if self.strays else {}

    def _checked(self, what: str, write: Callable[[], T]) -> T:
        before = {pod.uid: pod for pod in self.state.pods() if pod.phase is not Phase.STOPPING}
        try:
            done = write()
        except ConflictError:
            self.conflicts += 1
            raise
        self.writes.append(what)
        alive = {pod.uid for pod in self.state.pods() if pod.phase is not Phase.STOPPING}
        for uid, pod in before.items():
            if uid not in alive and not self._may_stop(pod):
                self.wrongs.append(f"{self.passed_s}: {what} ended {pod.name} {pod}")
        return done

    def _may_stop(self, pod: Pod) -> bool:
        if pod.app in self.evictable:
            return True  # the scheduler's doing
        if pod.ready_at is None or pod.uid in self._never_served:
            return True  # no edge sends to who became ready only after its mark
        marked = self._marked.get(pod.uid)
        if marked is None:
            return False
        app = self.log.apps[pod.app]
        drain_s = app.history[-1].fact.spec.drain_s
        let_go = bool(self.edges) and all(e.drained(pod, self.passed_s) for e in self.edges)
        return self.passed_s - marked >= drain_s or let_go

    def _live(self) -> None:
        now_s = self.passed_s
        for pod in self.state.pods():
            match pod.phase:
                case Phase.STOPPING:
                    since = self._stopping.setdefault(pod.uid, now_s)
                    if now_s - since >= self.stop_s:
                        self.state.stopped(pod.name, now=self.now())
                case Phase.STARTING if not pod.ready:
                    since = self._placed.setdefault(pod.uid, now_s)
                    takes_s = self.start_s(pod)
                    if takes_s is not None and now_s - since >= takes_s:
                        self.state.started(pod.name, address="127.0.0.1:9", now=self.now())
                        self.state.answered(pod.name, ready=True, now=self.now())
                case _:
                    pass
        self.state.settle(self.now())

    def _edges_speak(self) -> None:
        for edge in self.edges:
            known = {pod.uid: pod for pod in self.before(edge.lag).pods}
            for uid, pod in known.items():
                if pod.draining:
                    edge.heard_at.setdefault(uid, self.passed_s)
                else:
                    edge.heard_at.pop(uid, None)
            beat = SourceBeat(edge=edge.name, highest=0, complete_until=self.now())
            for app in self.log.apps:
                said = RoutesApplied(
                    edge=edge.name,
                    app=app,
                    at=self.now(),
                    endpoints=tuple(
                        self._endpoint(edge, pod) for pod in known.values() if pod.app == app
                    ),
                )
                for seat in self.seats:
                    seat.told(said)
            for seat in self.seats:
                seat.told(beat)

    def _endpoint(self, edge: Edge, pod: Pod) -> Endpoint:
        way = Way.SERVING
        if pod.draining:
            way = Way.DRAINED if edge.drained(pod, self.passed_s) else Way.DRAINING
        return Endpoint(
            pod=pod.name,
            address=pod.address,
            way=way,
            uid=pod.uid,
            resource_version=pod.resource_version,
        )
