"""What is seen around deploy: the cluster's facts, the edges' words, hpa's counts; one lock.

A cluster that was not reached for 15 s, or never, is not known: then nothing is decided. What edges
say counts once all heartbeats of 5 s have been heard without a break, so no living edge is missed.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from midstage.contracts.cluster import (
    ClusterReached,
    ClusterUnreachable,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    PodObserved,
    PodUsed,
    WorkloadObserved,
)
from midstage.contracts.edges import SILENT_AFTER_S, SourceBeat
from midstage.contracts.fact import Event, Fact
from midstage.contracts.inventory import Inventory
from midstage.contracts.routes import RoutesApplied
from midstage.contracts.running import Disruption
from midstage.deploy.decide.references import references_of
from midstage.deploy.model import NAMESPACE, App, Room, Scale, Situation, companions
from midstage.deploy.stream.outcomes import Outcomes
from midstage.deploy.views.drains import Edges, Marks
from midstage.eventlog.log import Record

REACHED_WITHIN = timedelta(seconds=15)
"""Control says each 5 s that a cluster answers."""


class Scales(Protocol):
    """The fold of hpa's log."""

    def state(self, key: str) -> tuple[int, Scale]:
        """Version and scale of one application."""
        ...


class References(Protocol):
    """What is in the secrets and configs that specs name."""

    def of(self, names: frozenset[str]) -> Mapping[str, str] | None:
        """Fingerprints by name; None where they are not known now."""
        ...


class Companions(Protocol):
    """What goes with the workloads."""

    def of(self, app: str) -> tuple[str, ...]:
        """What somebody has made of it."""
        ...


class Surroundings:
    """All that is seen; any thread may look, the reading loops write under ``changed``."""

    def __init__(
        self,
        *,
        cluster: str,
        scales: Scales,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        references: References,
        accompanied: Companions,
        namespace: str = NAMESPACE,
    ) -> None:
        """Nothing is seen yet; ``cluster`` is the one that is deployed to, in ``namespace``."""
        self.changed = threading.Condition()
        self.outcomes = Outcomes(monotonic)
        self._cluster = cluster
        self._namespace = namespace
        self._references = references
        self._companions = accompanied
        self._scales = scales
        self._now = now
        self._monotonic = monotonic
        self._inventory = Inventory()
        self._edges = Edges()
        self._marks = Marks()
        self._room, self._room_at = Room(), -1
        self._heard_since: float | None = None

    def cluster_fact(self, event: Event[Fact], _record: Record) -> None:
        """Take in a fact of control."""
        match event.data:
            case (
                NodeObserved()
                | PodObserved()
                | WorkloadObserved()
                | ObjectGone()
                | PodUsed()
                | NodeUsed()
                | ClusterReached()
                | ClusterUnreachable()
            ) as fact:
                self._inventory.apply(fact)

    def edge_fact(self, event: Event[Fact], _record: Record) -> None:
        """Take in a heartbeat, or what an edge says that it does."""
        match event.data:
            case SourceBeat(edge=edge):
                self._edges.beat(edge, at_s=self._monotonic())
            case RoutesApplied() as fact:
                self._edges.said(fact, at_s=self._monotonic())

    def look(self, *, hears_edges: bool) -> None:
        """Note what is marked now, and whether the edges can be heard."""
        now_s = self._monotonic()
        if not hears_edges:
            self._heard_since = None
        elif self._heard_since is None:
            self._heard_since = now_s
        with self.changed:
            self._marks.seen(self._inventory.pods(), now_s=now_s)

    def unknown(self) -> str | None:
        """Why the cluster is not known now; None where it is."""
        with self.changed:
            away = self._inventory.unreachable(self._cluster)
            reached_at = self._inventory.reached_at(self._cluster)
        if away is not None:
            return f"cluster {self._cluster} is unreachable since {away.since}: {away.reason}"
        if reached_at is None:
            return f"nothing is known of cluster {self._cluster} yet; control has to see it"
        if self._now() - reached_at > REACHED_WITHIN:
            return f"cluster {self._cluster} was last seen at {reached_at}; is control running?"
        return None

    def room(self) -> Room | None:
        """The nodes and pods of the cluster; None where it is not known."""
        if self.unknown() is not None:
            return None
        with self.changed:
            if self._room_at != self._inventory.version:
                self._room_at = self._inventory.version
                nodes = [n for n in self._inventory.nodes() if n.cluster == self._cluster]
                self._room = Room(
                    nodes=tuple(nodes),
                    emptied=frozenset(node.name for node in nodes if node.emptied),
                    pods=tuple(p for p in self._inventory.pods() if p.cluster == self._cluster),
                )
            return self._room

    def situation(self, app: str, state: App, room: Room | None) -> Situation:
        """All that is known of one application now."""
        scale_version, scale = self._scales.state(app)
        with self.changed:
            pods = tuple(p for p in self._inventory.pods_of(app) if self._is_ours(p))
            workloads = tuple(w for w in self._inventory.workloads_of(app) if self._is_ours(w))
            stoppable = self._stoppable(state, pods)
        named = references_of(state.current.fact.spec) if state.current else frozenset()
        return Situation(
            app=app,
            namespace=self._namespace,
            state=state,
            scale_version=scale_version,
            scale=scale,
            workloads=workloads,
            pods=pods,
            stoppable=stoppable,
            room=room,
            references=self._references.of(named) if named else {},
            refusal=self.outcomes.refusal(app, state.carries),
            astray=self._companions.of(app),
            fights=self.outcomes.fights((*(each.name for each in workloads), companions(app))),
            now=self._now(),
        )

    def written(self, states: Mapping[str, App]) -> Mapping[str, Disruption | None]:
        """The applications whose newest spec the cluster has, and their budgets."""
        found: dict[str, Disruption | None] = {}
        with self.changed:
            for app, state in states.items():
                own = self._inventory.workloads_of(app) if state.current else ()
                if state.current and any(
                    self._is_ours(each) and each.spec_version == state.carries for each in own
                ):
                    found[app] = state.current.fact.spec.disruption
        return found

    def workload_apps(self) -> frozenset[str]:
        """The applications that have workloads in the cluster."""
        with self.changed:
            return frozenset(w.app for w in self._inventory.workloads() if self._is_ours(w))

    def _stoppable(self, state: App, pods: tuple[PodObserved, ...]) -> frozenset[str]:
        now_s = self._monotonic()
        since = self._heard_since
        hears_all = since is not None and now_s - since >= SILENT_AFTER_S
        edges = self._edges if hears_all else Edges()
        drain_s = state.history[-1].fact.spec.drain_s if state.history else 0.0
        return self._marks.stoppable(pods, edges, drain_s=drain_s, now_s=now_s)

    def _is_ours(self, fact: PodObserved | WorkloadObserved) -> bool:
        return fact.cluster == self._cluster and fact.namespace == self._namespace
