"""The figures of deploy's own decisions: how an update would go, a turn, an upgrade, none stuck.

Everything runs in the fake world of deploy's tests, so what is timed is deploy's thinking alone:
no cluster's, no broker's time is in it, and times are those of the processor.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from midstage.contracts.apps import AppSpec, Resources, revision_of
from midstage.contracts.cluster import Amount, Phase, PodObserved
from midstage.deploy.decide.room import course_of
from midstage.deploy.model import Room
from midstage.testkit.clock import NOON
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import Contestant, Size, interleaved
from tests.deploy.facts import node, observed_node
from tests.deploy.updates import play, updates
from tests.deploy.world import Edge, World

GROUP = "deploy"
PLAN = Measure(name="plan of 50 applications", unit="s", more_is_better=False)
TURN = Measure(name="turn over 100 applications at rest", unit="ms", more_is_better=False)
UPGRADE = Measure(name="deploy's own time", unit="s", more_is_better=False)
STUCK = Measure(name="stuck", unit="", more_is_better=False)
LARGE, REST, FIFTY, RANDOM = "5,000 pods", "100 applications", "50 upgrades at once", "200 updates"
NODES, PODS, APPS, RESTING, UPDATES = 500, 5_000, 50, 100, 200
OLD = AppSpec(command=("old",), resources=Resources(cpu=1, memory_mb=1, gpus=1))
NEW = AppSpec(command=("new",), resources=Resources(cpu=1, memory_mb=1, gpus=1))


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Each once a round; the updates are others in each round."""
    del bootstrap, directory
    seeds = iter(range(1_000))
    taken = interleaved(
        [
            Contestant(name=LARGE, run=_planned),
            Contestant(name=REST, run=_rests),
            Contestant(name=FIFTY, run=_upgraded),
            Contestant(name=RANDOM, run=lambda: _random(next(seeds), size)),
        ],
        group=GROUP,
        rounds=min(size.rounds, 3),
    )
    counts = {
        LARGE: f"{APPS} applications of 100 on {NODES} nodes, no GPU to spare",
        REST: "1 replica each",
        FIFTY: "2 replicas each, all seconds of thinking together",
        RANDOM: "without a spare GPU",
    }
    return figures(
        group=GROUP, measures=[PLAN, TURN, UPGRADE, STUCK], taken=taken, peers=(), counts=counts
    )


def _planned() -> Mapping[str, float]:
    """How each of 50 updates would go, where every GPU is taken."""
    nodes = tuple(
        observed_node(node(f"node-{number}", cpu=32, gpus=PODS // NODES)) for number in range(NODES)
    )
    pods = [_pod(number) for number in range(PODS)]
    room = Room(nodes=nodes, pods=tuple(pods))
    begin = time.process_time()
    for app in range(APPS):
        own = [pod for pod in pods if pod.app == f"app-{app}"]
        course_of(msgspec.structs.replace(NEW, replicas=len(own)), len(own), own, room)
    return {PLAN.name: time.process_time() - begin}


def _pod(number: int) -> PodObserved:
    return PodObserved(
        cluster="local",
        name=f"pod-{number}",
        epoch=1,
        observed_at=NOON,
        uid=f"pod-{number}",
        app=f"app-{number % APPS}",
        revision=revision_of(OLD),
        workload=f"app-{number % APPS}-old",
        node=f"node-{number // (PODS // NODES)}",
        phase=Phase.RUNNING,
        ready=True,
        requests=Amount(cpu=1, memory_mb=1, gpus=1),
        created_at=NOON,
    )


def _rests() -> Mapping[str, float]:
    world = _world(RESTING, replicas=1)
    [seat] = world.seats
    begin = time.process_time()
    for _ in range(5):
        seat.reconciler.turn()
    return {TURN.name: (time.process_time() - begin) / 5 * 1000}


def _upgraded() -> Mapping[str, float]:
    world = _world(APPS, replicas=2)
    before_s = world.thinking_s
    for app in range(APPS):
        world.specify(_spec("new", 2), app=f"app-{app}")
    world.until(lambda: _all_run(world, "new", 2 * APPS))
    return {UPGRADE.name: world.thinking_s - before_s}


def _random(seed: int, size: Size) -> Mapping[str, float]:
    many = UPDATES if size.rounds > 1 else 10
    told = [play(update) for update in updates(1_000 + seed, many, gpus=True)]
    return {STUCK.name: float(sum(each is None or each.is_stuck for each in told))}


def _world(apps: int, *, replicas: int) -> World:
    world = World(nodes=[node(f"node-{n}", cpu=64) for n in range(20)], edges=[Edge(name="edge")])
    world.seat()
    for app in range(apps):
        world.specify(_spec("old", replicas), app=f"app-{app}")
    world.until(lambda: _all_run(world, "old", replicas * apps))
    world.run(3)
    return world


def _all_run(world: World, what: str, count: int) -> bool:
    pods = world.state.pods()
    running = [pod for pod in pods if what in world.state.template(pod.name).command and pod.ready]
    return len(running) == len(pods) == count


def _spec(what: str, replicas: int) -> AppSpec:
    return msgspec.structs.replace(
        OLD, command=("serve", what), replicas=replicas, resources=Resources(cpu=0.1, memory_mb=1)
    )
