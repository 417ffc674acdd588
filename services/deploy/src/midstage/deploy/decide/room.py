"""Whether an update has room, and how it would go: played through on the nodes as they are seen.

The same function that places pods in the cluster is asked (``cluster.fit``), so a refusal has the
scheduler's own words. A surge comes first; where nothing more fits, an old replica gives its place
as long as enough stay ready; where that ends too, the update is refused before it begins.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from midstage.cluster import fit
from midstage.cluster.objects import Node, Pod, Template
from midstage.contracts.apps import AppSpec, revision_of
from midstage.contracts.cluster import Amount, NodeObserved, Phase, PodObserved
from midstage.deploy.decide.wanted import must_be_ready, template_of
from midstage.deploy.model import Room


class Way(StrEnum):
    """How a change would be carried out."""

    NONE = "none"  # the replicas stay as they are
    FIRST = "first"
    SURGE = "surge"
    IN_PLACE = "in place"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the cluster can't be asked now


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How it would go, and the shortage in the scheduler's words where it is refused."""

    way: Way
    shortage: str = ""


def course_of(spec: AppSpec, count: int, pods: Sequence[PodObserved], room: Room | None) -> Course:
    """How ``count`` replicas of ``spec`` come to replace ``pods``, those of the application."""
    if room is None:
        return Course(way=Way.UNKNOWN)
    revision = revision_of(spec)
    living = [pod for pod in pods if is_living(pod)]
    old = [pod for pod in living if pod.revision != revision]
    new = [pod for pod in living if pod.revision == revision and _takes_room(pod)]
    if not old:
        return _first(template_of(spec), room)
    game = _Game(template_of(spec), room, old, ready=sum(1 for pod in living if _serves(pod)))
    game.let_go(len(old) + len(new) - count)
    return game.played(
        missing=count - len(new),
        surge=spec.rollout.surge > 0,
        least=must_be_ready(spec, count),
    )


def makes_room(template: Template, room: Room) -> Callable[[PodObserved], bool]:
    """Tells of a pod whether a replica of ``template`` would fit if that pod alone were gone."""
    nodes = nodes_of(room.nodes)
    left = fit.free(nodes, pods_of(room.pods))
    return lambda pod: _fits_without(pod, template, nodes, left)


def is_living(pod: PodObserved) -> bool:
    """Whether the cluster counts the pod as one of its workload's replicas."""
    return pod.phase is not Phase.STOPPING


class _Game:
    """Replicas placed one by one; old ones leave as new ones come, or before them."""

    def __init__(
        self, template: Template, room: Room, old: Sequence[PodObserved], *, ready: int
    ) -> None:
        self._template = template
        self._nodes = nodes_of(room.nodes)
        self._left = fit.free(self._nodes, pods_of(room.pods))
        self._old = sorted(old, key=lambda pod: (_serves(pod), pod.created_at, pod.uid))
        self._ready = ready

    def let_go(self, too_many: int) -> None:
        """Those that are more than wanted go without another in their place."""
        for pod in self._old[: max(0, too_many)]:
            self._leave(pod)

    def played(self, *, missing: int, surge: bool, least: int) -> Course:
        """The course of ``missing`` replicas; with ``surge`` they may come before an old one goes.

        ``least``: how many must be ready all the time.
        """
        way = Way.SURGE if surge or missing <= 0 else Way.IN_PLACE
        for _ in range(missing):
            if surge and self._places():
                self._ready += 1
                self._goes_for_a_new_one()
                continue
            way = Way.IN_PLACE
            if not self._makes_room(least):
                words = fit.words(self._template, self._nodes, self._left)
                return Course(way=Way.REFUSED, shortage=words)
            self._ready += 1
        return Course(way=way)

    def _places(self) -> bool:
        node = fit.place(self._template, self._nodes, self._left)
        if node is not None:
            self._left[node] = fit.less(self._left[node], self._template.requests)
        return node is not None

    def _makes_room(self, least: int) -> bool:
        """Old ones go until a new one fits; whether it does with ``least`` still ready."""
        while not self._places():
            leaving = self._best(least)
            if leaving is None:
                return False
            self._leave(leaving)
        return True

    def _best(self, least: int) -> PodObserved | None:
        """The old one to go: one whose place is enough, before one whose place is not."""
        may_go = [pod for pod in self._old if not _serves(pod) or self._ready > least]
        enough = (
            pod for pod in may_go if _fits_without(pod, self._template, self._nodes, self._left)
        )
        return next(enough, None) or next(iter(may_go), None)

    def _goes_for_a_new_one(self) -> None:
        if self._old:
            self._leave(self._old[-1])

    def _leave(self, pod: PodObserved) -> None:
        self._old.remove(pod)
        self._ready -= _serves(pod)
        if pod.node in self._left and _takes_room(pod):
            self._left[pod.node] = _more(self._left[pod.node], pod.requests)


def _first(template: Template, room: Room) -> Course:
    """Refused only where no node could ever take it, were it empty and well."""
    nodes = [
        msgspec.structs.replace(node, ready=True, schedulable=True) for node in nodes_of(room.nodes)
    ]
    empty = {node.name: node.capacity for node in nodes}
    if fit.place(template, nodes, empty) is None:
        return Course(way=Way.REFUSED, shortage=fit.words(template, nodes, empty))
    return Course(way=Way.FIRST)


def nodes_of(facts: Sequence[NodeObserved]) -> list[Node]:
    """The nodes as the scheduler's rule takes them."""
    return [
        Node(
            name=fact.name,
            ready=fact.ready,
            schedulable=fact.schedulable,
            reason=fact.reason,
            capacity=fact.capacity,
            labels=fact.labels,
            taints=fact.taints,
        )
        for fact in facts
    ]


def pods_of(facts: Sequence[PodObserved]) -> list[Pod]:
    """The pods as the scheduler's rule takes them."""
    return [
        Pod(
            name=fact.name,
            app=fact.app,
            revision=fact.revision,
            workload=fact.workload,
            node=fact.node,
            phase=fact.phase,
            requests=fact.requests,
            created_at=fact.created_at,
        )
        for fact in facts
    ]


def _fits_without(
    pod: PodObserved, template: Template, nodes: Sequence[Node], left: Mapping[str, Amount]
) -> bool:
    if pod.node not in left or not _takes_room(pod):
        return False
    without = {**left, pod.node: _more(left[pod.node], pod.requests)}
    return fit.place(template, nodes, without) is not None


def _takes_room(pod: PodObserved) -> bool:
    return bool(pod.node) and pod.phase is not Phase.LOST


def _serves(pod: PodObserved) -> bool:
    return pod.ready and not pod.draining


def _more(amount: Amount, given: Amount) -> Amount:
    return Amount(
        cpu=amount.cpu + given.cpu,
        memory_mb=amount.memory_mb + given.memory_mb,
        gpus=amount.gpus + given.gpus,
    )
