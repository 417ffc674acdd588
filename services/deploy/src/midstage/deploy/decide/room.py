"""Whether an update has room, and how it would go: played through on the nodes as they are seen.

Nodes are judged as the scheduler does (``cluster.fit``), so a refusal has its own words. A surge
comes first; where nothing more fits, an old replica gives its place as long as enough stay ready;
where no order of doing so leads to the end, the update is refused before it begins.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from midstage.cluster import fit
from midstage.cluster.objects import Node, Pod, Template
from midstage.cluster.spread import Spreading, required, surely
from midstage.contracts.apps import AppSpec, revision_of
from midstage.contracts.cluster import Amount, NodeObserved, Phase, PodObserved
from midstage.deploy.decide.board import Board, Old, Waiting, slots
from midstage.deploy.decide.priority import counting
from midstage.deploy.decide.replace import order
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
    counted = counting(spec, living, room.pods)
    return Course(way=Way.REFUSED, shortage=_shortage(template, nodes, counted, board))


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
    template, nodes = template_of(spec), nodes_of(room.nodes)
    pods = counting(spec, (*old, *new), room.pods)
    left = _left(nodes, [pod for pod in pods if is_living(pod)])
    own = frozenset(pod.uid for pod in (*old, *new))
    waits = _waiting(nodes, left, [pod for pod in pods if pod.uid not in own])
    spreads = required(template, nodes)
    takers, beside = _takers(template, nodes, spreads), _beside(new)
    free = {name: slots(left[name], template.requests) for name in takers}
    return Board(
        left=left,
        takers=takers,
        asks=template.requests,
        waits=waits,
        spreads=spreads,
        beside=beside,
        slots=_slots(spreads, free, beside, count),
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


def free_slots(
    spec: AppSpec,
    count: int,
    old: Sequence[PodObserved],
    new: Sequence[PodObserved],
    room: Room,
) -> int:
    """How many replicas of ``spec`` find room just now, beside all that is there or ending.

    ``new``: those of the same revision, of which ``count`` are wanted.
    """
    template, nodes = template_of(spec), nodes_of(room.nodes)
    left = _left(nodes, counting(spec, (*old, *new), room.pods))
    spreads = required(template, nodes)
    takers = _takers(template, nodes, spreads)
    free = {name: slots(left[name], template.requests) for name in takers}
    return _slots(spreads, free, _beside(new), count)


def _slots(
    spreads: Sequence[Spreading], free: Mapping[str, int], beside: Mapping[str, int], count: int
) -> int:
    return surely(spreads, free, beside, most=count) if spreads else sum(free.values())


def _takers(
    template: Template, nodes: Sequence[Node], spreads: Sequence[Spreading]
) -> frozenset[str]:
    """The nodes that take such replicas at all."""
    return frozenset(
        node.name
        for node in nodes
        if fit.admits(template, node) and all(node.name in each.domains for each in spreads)
    )


def _beside(new: Sequence[PodObserved]) -> Mapping[str, int]:
    """How many of them are on each node, as the scheduler counts."""
    return Counter(pod.node for pod in new if pod.node)


def _left(nodes: Sequence[Node], pods: Sequence[PodObserved]) -> dict[str, Amount]:
    """What ``pods`` leave of each node."""
    taken: dict[str, tuple[float, int, int]] = {node.name: (0.0, 0, 0) for node in nodes}
    for pod in pods:
        if pod.node in taken and pod.phase is not Phase.LOST:
            asks, before = pod.requests, taken[pod.node]
            taken[pod.node] = (
                before[0] + asks.cpu,
                before[1] + asks.memory_mb,
                before[2] + asks.gpus,
            )
    return {node.name: fit.less(node.capacity, _amount(*taken[node.name])) for node in nodes}


def _waiting(
    nodes: Sequence[Node], left: dict[str, Amount], pods: Sequence[PodObserved]
) -> tuple[Waiting, ...]:
    """Who of ``pods`` waits for a node, the first first; who finds one is put there, in ``left``.

    Taken for granted is that each goes before a replica that is yet to be made.
    """
    found: list[Waiting] = []
    full: dict[Hashable, frozenset[str]] = {}
    pending = (pod for pod in pods if pod.phase is Phase.PENDING and not pod.node)
    for pod in sorted(pending, key=lambda pod: (-(pod.priority or 0), pod.created_at, pod.uid)):
        alike = (pod.requests, frozenset(pod.node_selector.items()), pod.tolerations)
        if alike not in full:
            asks = Template(
                requests=pod.requests, node_selector=pod.node_selector, tolerations=pod.tolerations
            )
            place = fit.place(asks, nodes, left)
            if place is not None:
                left[place] = fit.less(left[place], pod.requests)
                continue
            full[alike] = frozenset(node.name for node in nodes if fit.admits(asks, node))
        found.append(Waiting(uid=pod.uid, takes=pod.requests, nodes=full[alike]))
    return tuple(found)


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


def _shortage(
    template: Template, nodes: Sequence[Node], pods: Sequence[PodObserved], board: Board
) -> str:
    """The scheduler's words, and what is held against giving older replicas' places away."""
    left = fit.free(nodes, pods_of(pods))
    first = f"{len(board.waits)} waiting pods of others come first" if board.waits else ""
    if fit.place(template, nodes, left, beside=board.beside) is None:
        words = fit.words(template, nodes, left, beside=board.beside)
        return f"{words} {first}." if first else words
    over = ", ".join(each.over for each in template.spread if each.required)
    causes = [f"spread over {over}" if over else "", first]
    beside = "".join(f", {cause}" for cause in causes if cause)
    return (
        f"there is room for {board.placed + board.slots} of {board.count} replicas{beside}, and no "
        f"order of replacing the {len(board.old)} older ones keeps {board.least} ready"
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
