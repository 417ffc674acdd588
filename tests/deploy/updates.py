"""Small updates of one application: what brute force says of them, and what deploy makes of them.

``is_feasible`` tries all sequences of single steps (ask for one new replica, which comes wherever
there is room and its spreads let it, so each such place has to lead to the end; end one older
replica while enough are ready, whereupon pods of others that wait take what they can), and knows
nothing of how deploy decides.
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
ZONE, RACK = "zone", "rack"
PRIORITIES = {"low": -5, "high": 5}
"""By class; without one it is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """``nodes`` with so much room, an application on them, ``others`` beside it, and its update.

    ``grown``: so many cores more has the last node once the older replicas are placed. ``late``:
    pods of others that come then, and may have to wait. ``zones`` of the nodes, over which the new
    replicas are spread by ``skew`` at most (None: not required); so with ``racks``. ``budget``: so
    many replicas may be away at once. ``rank``: its class of priority; ``low``: so many of
    ``late``, the first, are of less than all others.
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
    racks: tuple[str, ...] = ()
    rack_skew: int | None = None
    budget: int | None = None
    rank: str | None = None
    low: int = 0

    def spec(self, name: str, asks: Room) -> AppSpec:
        return AppSpec(
            command=("serve", name),
            replicas=self.replicas,
            resources=Resources(cpu=asks[0], memory_mb=1, gpus=asks[1]),
            routes=Routes(prefix="/chat"),
            rollout=Rollout(surge=self.surge, min_available=self.min_available),
            spread=tuple(self.spreads()),
            priority=self.rank,
            disruption=None if self.budget is None else Disruption(max_unavailable=self.budget),
            drain_s=1,
        )

    def spreads(self) -> Iterator[Spread]:
        for over, skew in ((ZONE, self.skew), (RACK, self.rack_skew)):
            if skew is not None:
                yield Spread(over=over, max_skew=skew, required=True)

    def domains(self) -> Iterator[tuple[int, list[str]]]:
        """Of each required spread its skew, and the domain of each node."""
        for skew, names in ((self.skew, self.zones), (self.rack_skew, self.racks)):
            if skew is not None:
                yield skew, [_domain(names, each) for each in range(len(self.nodes))]

    @property
    def yielding(self) -> frozenset[str]:
        """The applications whose pods are evicted where one of ours finds no room else."""
        less = {f"late-{number}" for number in range(min(self.low, len(self.late)))}
        if PRIORITIES.get(self.rank or "", 0) > 0:
            less |= {f"other-{number}" for number in range(len(self.others))}
        return frozenset(less)

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
    edges = [Edge(name="edge-1", open_s=0.25)]
    world = World(nodes=list(_nodes(update)), edges=edges, priorities=PRIORITIES)
    world.evictable = update.yielding
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
        late = _alone(update.spec(f"late-{number}", asks))
        rank = "low" if number < update.low else update.rank
        world.specify(msgspec.structs.replace(late, priority=rank), app=f"late-{number}")
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
    others = [pod for pod in now.pods if pod.app not in {APP, *update.yielding}]
    room = [_room_beside(each, others) for each in now.nodes]
    first = _At(
        old=tuple(olds.count(node.name) for node in now.nodes),
        new=(0,) * len(room),
        waits=tuple((p.requests.cpu, p.requests.gpus) for p in others if not p.node),
        taken=((0.0, 0),) * len(room),
    )
    return _wins(update, room, first, {})


def _wins(update: Update, room: list[Room], at: _At, known: dict[_At, bool]) -> bool:
    """Whether deploy can go on to the end from here, wherever the scheduler puts new replicas."""
    if at not in known:
        more = list(_started(update, room, at))
        known[at] = (
            (not sum(at.old) and sum(at.new) == update.replicas)
            or (bool(more) and all(_wins(update, room, each, known) for each in more))
            or any(_wins(update, room, each, known) for each in _ended(update, room, at))
        )
    return known[at]


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


def _started(update: Update, room: list[Room], at: _At) -> Iterator[_At]:
    """After one new replica more, on each node that would have it."""
    ready = sum(at.old) + sum(at.new)
    if sum(at.new) < update.replicas and ready < update.replicas + update.surge:
        for where in range(len(room)):
            if _fits(update.new, _left(update, room, at, where)) and _spreads(update, at, where):
                yield replace(at, new=_more(at.new, where, 1))


def _ended(update: Update, room: list[Room], at: _At) -> Iterator[_At]:
    """After one older replica less, of each node."""
    if sum(at.old) + sum(at.new) > update.least:
        for where, there in enumerate(at.old):
            if there:
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
    for skew, domains in update.domains():
        counts = dict.fromkeys(domains, 0)
        for domain, count in zip(domains, at.new, strict=True):
            counts[domain] += count
        if counts[domains[where]] + 1 - min(counts.values()) > skew:
            return False
    return True


def _domain(names: tuple[str, ...], where: int) -> str:
    return names[where % len(names)] if names else "a"


def _room_beside(node: Node, others: list[Pod]) -> Room:
    there = [pod.requests for pod in others if pod.node == node.name]
    cpu = node.capacity.cpu - sum(asks.cpu for asks in there)
    return cpu, node.capacity.gpus - sum(asks.gpus for asks in there)


def _nodes(update: Update) -> Iterator[Node]:
    for number, (cpu, gpus) in enumerate(update.nodes):
        made = node(f"node-{number}", cpu=cpu, gpus=gpus)
        yield msgspec.structs.replace(
            made, labels={ZONE: _domain(update.zones, number), RACK: _domain(update.racks, number)}
        )


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
