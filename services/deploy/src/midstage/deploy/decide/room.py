"""Whether an update has room, and how it would go: played through on the nodes as they are seen.

Nodes are judged as the scheduler does (``cluster.fit``), so a refusal has its own words. A surge
comes first; where nothing more fits, an old replica gives its place as long as enough stay ready;
where no order of doing so leads to the end, the update is refused before it begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from midstage.cluster import fit
from midstage.cluster.objects import Node, Pod, Template
from midstage.contracts.apps import AppSpec, revision_of
from midstage.contracts.cluster import Amount, NodeObserved, Phase, PodObserved
from midstage.deploy.decide.replace import Board, Old, order, slots
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


def course_of(
    spec: AppSpec,
    count: int,
    pods: Sequence[PodObserved],
    room: Room | None,
    *,
    generation: int = 0,
) -> Course:
    """How ``count`` replicas of ``spec`` come to replace ``pods``, those of the application."""
    if room is None:
        return Course(way=Way.UNKNOWN)
    revision = revision_of(spec, generation)
    living = [pod for pod in pods if is_living(pod)]
    old = [pod for pod in living if pod.revision != revision]
    new = [pod for pod in living if pod.revision == revision]
    template = template_of(spec)
    if not old:
        return _first(template, room)
    board = board_of(spec, count, old, new, room)
    if board.surge > 0 and order(_without_a_dip(board)) is not None:
        return Course(way=Way.SURGE)
    if order(board) is not None:
        return Course(way=Way.IN_PLACE)
    nodes = nodes_of(room.nodes)
    return Course(way=Way.REFUSED, shortage=_shortage(template, nodes, room, board))


def board_of(
    spec: AppSpec,
    count: int,
    old: Sequence[PodObserved],
    new: Sequence[PodObserved],
    room: Room,
) -> Board:
    """The nodes and the replicas as they are seen; ``old`` goes in this order where all the same.

    What is about to end has left already, and who drains serves no more.
    """
    template = template_of(spec)
    left = _left(template, room, [pod for pod in room.pods if is_living(pod)])
    return Board(
        left=left,
        asks=template.requests,
        slots=sum(slots(each, template.requests) for each in left.values()),
        old=tuple(
            Old(
                uid=pod.uid,
                node=pod.node if takes_room(pod) else "",
                takes=pod.requests,
                serves=pod.ready and not pod.draining,
            )
            for pod in old
        ),
        placed=sum(1 for pod in new if takes_room(pod) and not pod.draining),
        count=count,
        surge=spec.rollout.surge,
        least=must_be_ready(spec, count),
    )


def free_slots(spec: AppSpec, room: Room) -> int:
    """How many replicas of ``spec`` find room just now, beside all that is there or ending."""
    template = template_of(spec)
    left = _left(template, room, room.pods)
    return sum(slots(each, template.requests) for each in left.values())


def _left(template: Template, room: Room, pods: Sequence[PodObserved]) -> dict[str, Amount]:
    """What ``pods`` leave of each node that takes such replicas at all."""
    nodes = {node.name: node for node in nodes_of(room.nodes) if fit.admits(template, node)}
    taken: dict[str, tuple[float, int, int]] = {}
    for pod in pods:
        if pod.node in nodes and pod.phase is not Phase.LOST:
            asks = pod.requests
            before = taken.get(pod.node, (0.0, 0, 0))
            taken[pod.node] = (
                before[0] + asks.cpu,
                before[1] + asks.memory_mb,
                before[2] + asks.gpus,
            )
    return {
        name: fit.less(node.capacity, _amount(*taken.get(name, (0.0, 0, 0))))
        for name, node in nodes.items()
    }


def _amount(cpu: float, memory_mb: int, gpus: int) -> Amount:
    return Amount(cpu=cpu, memory_mb=memory_mb, gpus=gpus)


def is_living(pod: PodObserved) -> bool:
    """Whether the cluster counts the pod as one of its workload's replicas."""
    return pod.phase is not Phase.STOPPING


def takes_room(pod: PodObserved) -> bool:
    """Whether it stands on a node that is there."""
    return bool(pod.node) and pod.phase is not Phase.LOST


def _without_a_dip(board: Board) -> Board:
    """The same where no older replica goes before another is in its place."""
    old = tuple(replace(each, serves=True) for each in board.old)
    return replace(board, old=old, least=min(board.count, len(old) + board.placed))


def _shortage(template: Template, nodes: Sequence[Node], room: Room, board: Board) -> str:
    """The scheduler's words, and what is held against giving older replicas' places away."""
    left = fit.free(nodes, pods_of(room.pods))
    if fit.place(template, nodes, left) is None:
        return fit.words(template, nodes, left)
    return (
        f"there is room for {board.placed + board.slots} of {board.count} replicas, and no order "
        f"of replacing the {len(board.old)} older ones keeps {board.least} ready"
    )


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
