"""Small updates of one application: what brute force says of them, and what deploy makes of them.

``is_feasible`` tries all sequences of single steps (start one new replica where there is room, end
one older replica while enough are ready), and knows nothing of how deploy decides.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from midstage.cluster.objects import Node
from midstage.contracts.apps import AppSpec, Resources, Rollout, RolloutEnded, Routes, Verdict
from midstage.deploy.decide.room import Course, Way, course_of
from midstage.deploy.decide.wanted import must_be_ready
from tests.deploy.facts import node
from tests.deploy.world import APP, Edge, World

Room = tuple[float, int]
"""Cores and GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """``nodes`` with so much room, an application on them, ``others`` beside it, and its update.

    ``grown``: so many cores more has the last node once the older replicas are placed.
    """

    nodes: tuple[Room, ...]
    others: tuple[Room, ...]
    old: Room
    new: Room
    replicas: int
    surge: int
    min_available: int | None
    grown: float = 0

    def spec(self, name: str, asks: Room) -> AppSpec:
        return AppSpec(
            command=("serve", name),
            replicas=self.replicas,
            resources=Resources(cpu=asks[0], memory_mb=1, gpus=asks[1]),
            routes=Routes(prefix="/chat"),
            rollout=Rollout(surge=self.surge, min_available=self.min_available),
            drain_s=1,
        )


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
    world.run(1)
    spec = update.spec("new", update.new)
    situation = seat.around.situation(APP, world.log.apps[APP], seat.around.room())
    course = course_of(spec, update.replicas, situation.pods, situation.room)
    feasible = is_feasible(update, [pod.node for pod in situation.pods])
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


def is_feasible(update: Update, old_at: list[str]) -> bool:
    """Whether some sequence of single steps leads to the end; ``old_at``: where the old are."""
    spec = update.spec("new", update.new)
    count, least = update.replicas, must_be_ready(spec, update.replicas)
    names = [each.name for each in _nodes(update)]
    olds = tuple(old_at.count(name) for name in names)
    first = (olds, (0,) * len(names))
    room = _room_beside(update, olds)
    seen, trail = {first}, [first]
    while trail:
        old, new = trail.pop()
        if not sum(old) and sum(new) == count:
            return True
        for after in _steps(update, room, old, new, count=count, least=least):
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


def _steps(
    update: Update,
    room: list[Room],
    old: tuple[int, ...],
    new: tuple[int, ...],
    *,
    count: int,
    least: int,
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    ready = sum(old) + sum(new)
    for at in range(len(room)):
        cpu = room[at][0] - old[at] * update.old[0] - (new[at] + 1) * update.new[0]
        gpus = room[at][1] - old[at] * update.old[1] - (new[at] + 1) * update.new[1]
        fits = cpu >= 0 and (gpus >= 0 or not update.new[1])
        if fits and sum(new) < count and ready < count + update.surge:
            yield old, _more(new, at, 1)
        if old[at] and ready > least:
            yield _more(old, at, -1), new


def _room_beside(update: Update, olds: tuple[int, ...]) -> list[Room]:
    """What each node has for the application: played again, for the others came first."""
    world = World(nodes=list(_nodes(update)))
    world.seat()
    for number, asks in enumerate(update.others):
        world.specify(_alone(update.spec(f"other-{number}", asks)), app=f"other-{number}")
    world.run(3)
    left = []
    for number, each in enumerate(_nodes(update), start=1):
        there = [pod.requests for pod in world.state.pods() if pod.node == each.name]
        cpu = each.capacity.cpu - sum(asks.cpu for asks in there)
        cpu += update.grown if number == len(update.nodes) else 0
        left.append((cpu, each.capacity.gpus - sum(asks.gpus for asks in there)))
    assert len(left) == len(olds)
    return left


def _nodes(update: Update) -> Iterator[Node]:
    for number, (cpu, gpus) in enumerate(update.nodes):
        yield node(f"node-{number}", cpu=cpu, gpus=gpus)


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
