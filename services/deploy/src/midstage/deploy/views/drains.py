"""Which marked pods nobody waits for any more, by what the living edges say.

An edge is alive while its heartbeats come; what it says of a pod counts where it follows from a
fact of the pod not older than the mark. Times are monotonic seconds of the process that listens:
no other clock is believed. Where no edge is alive, or one says nothing, the drain time alone frees.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from midstage.contracts.cluster import PodObserved
from midstage.contracts.edges import SILENT_AFTER_S
from midstage.contracts.routes import RoutesApplied, Way

FORGOTTEN_AFTER_S = 2.5
"""Edges repeat themselves each 2 s: what they leave out for so long, they do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """When a pod was first seen as draining, and at which resource version."""

    at_s: float
    resource_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    at_s: float
    fact: RoutesApplied


class Edges:
    """What each edge said last of each application, and when each was heard last."""

    def __init__(self) -> None:
        """Nobody has been heard yet."""
        self._beats: dict[str, float] = {}
        self._said: dict[str, dict[str, _Said]] = {}

    def beat(self, edge: str, *, at_s: float) -> None:
        """The edge is alive."""
        self._beats[edge] = at_s

    def said(self, fact: RoutesApplied, *, at_s: float) -> None:
        """The edge said what it does; the newest of each edge and application holds."""
        known = self._said.setdefault(fact.app, {}).get(fact.edge)
        if known is None or fact.at >= known.fact.at:
            self._said[fact.app][fact.edge] = _Said(at_s=at_s, fact=fact)

    def living(self, now_s: float) -> frozenset[str]:
        """The edges with a heartbeat less than 5 s old; others are forgotten in time."""
        return frozenset(
            edge for edge, at_s in self._beats.items() if now_s - at_s < SILENT_AFTER_S
        )

    def drained(self, pod: PodObserved, mark: Mark, *, now_s: float) -> bool:
        """Whether every living edge has let go of the pod; False where no edge is alive."""
        living = self.living(now_s)
        said = self._said.get(pod.app, {})
        return bool(living) and all(
            edge in said and _let_go(said[edge], pod, mark) for edge in living
        )


class Marks:
    """The pods that are draining, each with its mark, for as long as it is."""

    def __init__(self) -> None:
        """None is."""
        self._marks: Mapping[str, Mark] = {}

    def seen(self, pods: Iterable[PodObserved], *, now_s: float) -> None:
        """These are all pods now."""
        self._marks = {
            pod.uid: self._marks.get(pod.uid)
            or Mark(at_s=now_s, resource_version=pod.resource_version)
            for pod in pods
            if pod.draining
        }

    def stoppable(
        self, pods: Iterable[PodObserved], edges: Edges, *, drain_s: float, now_s: float
    ) -> frozenset[str]:
        """The uids of those marked pods that may be stopped.

        One that has never been ready had no request: the mark came before it could serve.
        """
        marked = [(pod, self._marks[pod.uid]) for pod in pods if pod.uid in self._marks]
        return frozenset(
            pod.uid
            for pod, mark in marked
            if pod.ready_at is None
            or now_s - mark.at_s >= drain_s
            or edges.drained(pod, mark, now_s=now_s)
        )


def _let_go(said: _Said, pod: PodObserved, mark: Mark) -> bool:
    """Drained by the edge's word, or left out by it for so long that it does not know the pod."""
    for endpoint in said.fact.endpoints:
        if endpoint.pod == pod.name and endpoint.uid in ("", pod.uid):
            follows = endpoint.resource_version >= mark.resource_version
            return endpoint.way is Way.DRAINED and follows
    return said.at_s - mark.at_s >= FORGOTTEN_AFTER_S
