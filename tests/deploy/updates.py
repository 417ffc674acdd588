"""Small updates of one application: what brute force says of them, and what deploy makes of them.

``is_feasible`` tries all sequences of single steps (start one new replica where there is room and
its spread lets it, end one older replica while enough are ready, whereupon pods of others that wait
take what they can), and knows nothing of how deploy decides.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from midstage.cluster.objects import Listing, Node, Pod
from midstage.contracts.apps import AppSpec, Resources, Rollout, RolloutEnded, Routes, Verdict
from midstage.contracts.running import Disruption, Spread
from midstage.deploy.decide.room import Course, Way, course_of
from tests.deploy.facts import node
from tests.deploy.world import APP, Edge, World

Room = tuple[float, int]
"""Cores and GPUs."""
ZONE = "zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """``nodes`` with so much room, an application on them, ``others`` beside it, and its update.

    ``grown``: so many cores more has the last node once the older replicas are placed. ``late``:
    pods of others that come then, and may have to wait. ``zones`` of the nodes, over which the new
    replicas are spread by ``skew`` at most (None: not required). ``budget``: so many replicas may
    be away at once.
    """

    nodes: tuple[Room, ...]
    others: tuple[Room, ...]
    old: Room
    new: Room
    replicas: int
    surge: int
    min_available: int | None
    grown: float = 0
    late: tuple[Room, ...] = ()
    zones: tuple[str, ...] = ()
    skew: int | None = None
    budget: int | None = None

    def spec(self, name: str, asks: Room) -> AppSpec:
        return AppSpec(
            command=("serve", name),
            replicas=self.replicas,
            resources=Resources(cpu=asks[0], memory_mb=1, gpus=asks[1]),
            routes=Routes(prefix="/chat"),
            rollout=Rollout(surge=self.surge, min_available=self.min_available),
            spread=() if self.skew is None else (self.spread(self.skew),),
            disruption=None if self.budget is None else Disruption(max_unavailable=self.budget),
            drain_s=1,
        )

    @staticmethod
    def spread(skew: int) -> Spread:
        return Spread(over=ZONE, max_skew=skew, required=True)

    @property
    def least(self) -> int:
        """How many have to serve all the time."""
        least = max(1, self.replicas - 1) if self.min_available is None else self.min_available
        budget = self.replicas if self.budget is None else self.budget
        return max(min(least, self.replicas), self.replicas - budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of an update: how deploy says that it goes, whether it ended, what went wrong."""

    course: Course
    feasible: bool
    ended: bool
    least_serving: int
    wrongs: tuple[str, ...]
    told: str

    @property
    def is_stuck(self) -> bool:
        """Taken, and yet not ended."""
        return self.course.way is not Way.REFUSED and not self.ended


def play(update: Update, *, within_s: float = 300) -> Told | None:
    """Play it in the fake world; None where not even what was there before finds room."""
    world = World(nodes=list(_nodes(update)), edges=[Edge(name="edge-1", open_s=0.25)])
    seat = world.seat()
    for number, asks in enumerate(update.others):
        other = update.spec(f"other-{number}", asks)
        world.specify(_alone(other), app=f"other-{number}")
    world.run(3)
    world.specify(update.spec("old", update.old))
    world.run(5)
    if not all(pod.ready for pod in world.state.pods()):
        return None
    last = list(_nodes(update))[-1]
    wider = node(last.name, cpu=last.capacity.cpu + update.grown, gpus=last.capacity.gpus)
    world.state.set_node(last.name, capacity=wider.capacity, now=world.now())
    for number, asks in enumerate(update.late):
        world.specify(_alone(update.spec(f"late-{number}", asks)), app=f"late-{number}")
        world.run(1)
    world.run(3)
    spec = update.spec("new", update.new)
    situation = seat.around.situation(APP, world.log.apps[APP], seat.around.room())
    course = course_of(spec, update.replicas, situation.pods, situation.room)
    feasible = is_feasible(update, world.state.listing())
    ended = False
    least = update.replicas
    if course.way is not Way.REFUSED:
        world.specify(spec)
        until = world.passed_s + within_s
        while not (ended := _is_complete(world)) and world.passed_s < until:
            world.step()
            least = min(least, len([pod for pod in world.serving() if pod.app == APP]))
    return Told(
        course=course,
        feasible=feasible,
        ended=ended,
        least_serving=least,
        wrongs=tuple(world.wrongs),
        told=world.told(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """Older and new replicas by node, who waits, and what those who waited have taken by node."""

    old: tuple[int, ...]
    new: tuple[int, ...]
    waits: tuple[Room, ...]
    taken: tuple[Room, ...]


def is_feasible(update: Update, now: Listing) -> bool:
    """Whether some sequence of single steps leads from ``now`` to the end."""
    olds = [pod.node for pod in now.pods if pod.app == APP]
    others = [pod for pod in now.pods if pod.app != APP]
    room = [_room_beside(each, others) for each in now.nodes]
    first = _At(
        old=tuple(olds.count(node.name) for node in now.nodes),
        new=(0,) * len(room),
        waits=tuple((p.requests.cpu, p.requests.gpus) for p in others if not p.node),
        taken=((0.0, 0),) * len(room),
    )
    seen, trail = {first}, [first]
    while trail:
        at = trail.pop()
        if not sum(at.old) and sum(at.new) == update.replicas:
            return True
        for after in _steps(update, room, at):
            if after not in seen:
                seen.add(after)
                trail.append(after)
    return False


def updates(seed: int, count: int, *, gpus: bool) -> Iterator[Update]:
    """So many random updates; with ``gpus`` on clusters that have none to spare."""
    chance = random.Random(seed)
    for _ in range(count):
        replicas = chance.randint(1, 5)
        each = chance.randint(1, 2)
        sizes = [chance.randint(1, 3) * each for _ in range(chance.randint(1, 3))]
        if gpus:
            replicas = sum(size // each for size in sizes)
        yield Update(
            nodes=tuple((16.0, size) for size in sizes),
            others=(),
            old=(1.0, each if gpus else 0),
            new=(1.0, chance.choice([each, each, 1, each + 1]) if gpus else 0),
            replicas=replicas,
            surge=chance.randint(0, 2),
            min_available=chance.choice([None, None, 0, max(0, replicas - 1), replicas]),
        )


def _steps(update: Update, room: list[Room], at: _At) -> Iterator[_At]:
    ready = sum(at.old) + sum(at.new)
    for where in range(len(room)):
        is_wanted = sum(at.new) < update.replicas and ready < update.replicas + update.surge
        if (
            is_wanted
            and _fits(update.new, _left(update, room, at, where))
            and _spreads(update, at, where)
        ):
            yield replace(at, new=_more(at.new, where, 1))
        if at.old[where] and ready > update.least:
            yield _taken(update, room, replace(at, old=_more(at.old, where, -1)), where)


def _taken(update: Update, room: list[Room], at: _At, where: int) -> _At:
    """After those who waited have taken what became free there, the first first."""
    for asks in at.waits:
        if _fits(asks, _left(update, room, at, where)):
            waits = list(at.waits)
            waits.remove(asks)
            cpu, gpus = at.taken[where]
            taken = (*at.taken[:where], (cpu + asks[0], gpus + asks[1]), *at.taken[where + 1 :])
            at = replace(at, waits=tuple(waits), taken=taken)
    return at


def _left(update: Update, room: list[Room], at: _At, where: int) -> Room:
    cpu, gpus = (
        room[where][part]
        - at.taken[where][part]
        - at.old[where] * update.old[part]
        - at.new[where] * update.new[part]
        for part in (0, 1)
    )
    return cpu, int(gpus)


def _fits(asks: Room, left: Room) -> bool:
    return left[0] >= asks[0] and (left[1] >= asks[1] or not asks[1])


def _spreads(update: Update, at: _At, where: int) -> bool:
    if update.skew is None:
        return True
    zones = [_zone(update, each) for each in range(len(at.new))]
    counts = dict.fromkeys(zones, 0)
    for zone, count in zip(zones, at.new, strict=True):
        counts[zone] += count
    return counts[zones[where]] + 1 - min(counts.values()) <= update.skew


def _zone(update: Update, where: int) -> str:
    return update.zones[where % len(update.zones)] if update.zones else "a"


def _room_beside(node: Node, others: list[Pod]) -> Room:
    there = [pod.requests for pod in others if pod.node == node.name]
    cpu = node.capacity.cpu - sum(asks.cpu for asks in there)
    return cpu, node.capacity.gpus - sum(asks.gpus for asks in there)


def _nodes(update: Update) -> Iterator[Node]:
    for number, (cpu, gpus) in enumerate(update.nodes):
        made = node(f"node-{number}", cpu=cpu, gpus=gpus)
        yield msgspec.structs.replace(made, labels={ZONE: _zone(update, number)})


def _alone(spec: AppSpec) -> AppSpec:
    return AppSpec(command=spec.command, resources=spec.resources)


def _is_complete(world: World) -> bool:
    newest = next((f for f in reversed(world.log.facts) if isinstance(f, RolloutEnded)), None)
    current = world.log.apps[APP].current
    assert current is not None
    is_new = newest is not None and newest.revision == current.fact.revision
    return is_new and newest is not None and newest.verdict is Verdict.COMPLETE


def _more(counts: tuple[int, ...], at: int, by: int) -> tuple[int, ...]:
    return (*counts[:at], counts[at] + by, *counts[at + 1 :])
