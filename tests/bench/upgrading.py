"""What changes of applications take on the whole platform on a real Kubernetes, and what they cost.

Commands over deploy's API; pods are seen by a watch of the administrator's. There is no peer that
runs beside it: the figures are for comparing one's own changes. The platform shares the cores.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from midstage.cluster.kubernetes.cluster import KubernetesCluster
from midstage.contracts.apps import AppSpec, Resources, Rollout, revision_of
from midstage.local.options import Where
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests.bench.figures import Figure, Measure, figures
from tests.bench.rounds import FULL, Size, quantile, say
from tests.stories.loop import ask, await_settled, put, spec
from tests.stories.turns import Turns, another, turned

GROUP: Final = "kubernetes"
BOUND: Final = Measure(name="command to pod bound", unit="ms", more_is_better=False)
UNDO: Final = Measure(name="undo to first new pod", unit="ms", more_is_better=False)
UPGRADE: Final = Measure(name="upgrade of all instances", unit="s", more_is_better=False)
SUCCESS: Final = Measure(name="answered while it turned", unit="%")
ABORTED: Final = Measure(name="aborted while it turned", unit="requests", more_is_better=False)
_OURS: Final = "midstage"
_WITHIN_S: Final = 120.0
_PAUSE_S: Final = 0.5
"""Callers leave the two cores some room: what is measured is what turns do, not what fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much is measured."""

    bound: int
    undos: int
    instances: int
    apps: int
    turns: Turns


LARGE: Final = Amounts(
    bound=40,
    undos=10,
    instances=50,
    apps=20,
    turns=Turns(scale_downs=50, scale_ups=15, updates=3, most=6),
)
SMALL: Final = Amounts(
    bound=2, undos=1, instances=3, apps=1, turns=Turns(scale_downs=2, scale_ups=1, updates=1)
)


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """One measure after the other; ``bootstrap`` is left alone, the platform has its own Kafka."""
    del bootstrap
    amounts = LARGE if size is FULL else SMALL
    with (
        Platform(
            directory / "upgrading", speed=10, cluster=Where.KUBERNETES, replicas={}, say=say
        ) as platform,
        _watched(f"kubeconfig:{platform.addresses.kubeconfig}") as pods,
    ):
        return [
            *_quantiles(BOUND, _bound(platform, pods, amounts.bound), "scale-ups"),
            *_quantiles(UNDO, _undone(platform, pods, amounts.undos), "undos"),
            _one(UPGRADE, _upgraded(platform, amounts.instances), f"{amounts.instances} instances"),
            *_turns(platform, amounts),
        ]


@dataclass(slots=True)
class Pods:
    """When each pod was first seen, and when it first had a node, by its name."""

    seen: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)

    def new(self, workload: str, known: Mapping[str, float], times: Mapping[str, float]) -> float:
        """When the first pod of a workload came that is not ``known``; 0.0: it has not."""
        return min(
            (
                at
                for name, at in tuple(times.items())
                if name not in known and name.startswith(f"{workload}-")
            ),
            default=0.0,
        )


@contextmanager
def _watched(where: str) -> Iterator[Pods]:
    pods, over = Pods(), threading.Event()
    with KubernetesCluster(name="bench", where=where) as cluster:
        since = cluster.list().resource_version

        def watched() -> None:
            for change in cluster.watch(since):
                at = time.perf_counter()
                if change.pod is not None and not change.gone:
                    pods.seen.setdefault(change.pod.name, at)
                    if change.pod.node:
                        pods.bound.setdefault(change.pod.name, at)
                if over.is_set():
                    return

        watching = threading.Thread(target=watched, name="watch", daemon=True)
        watching.start()
        try:
            yield pods
        finally:
            over.set()  # a bookmark comes within 5 s
            watching.join()


def _bound(platform: Platform, pods: Pods, times: int) -> Sequence[float]:
    """From the answer to a command for one more replica until its pod has a node."""
    took = []
    one, two = spec("bound", replicas=1), spec("bound", replicas=2)
    workload = f"bound-{revision_of(one)}"
    for _ in range(times):
        put(platform, "bound", one)
        await_settled(platform, "bound", replicas=1)
        known = dict(pods.bound)
        put(platform, "bound", two)
        begin = time.perf_counter()
        at = within(_WITHIN_S, partial(pods.new, workload, known, pods.bound))
        took.append(1000 * max(0.0, at - begin))
    return took


def _undone(platform: Platform, pods: Pods, times: int) -> Sequence[float]:
    """From the command until the first pod of the revision before is there again."""
    took = []
    good = spec("undone", replicas=2)
    workload = f"undone-{revision_of(good)}"
    for number in range(times):
        for wanted in (good, another("undone", replicas=2, number=number)):
            put(platform, "undone", wanted)
            await_settled(platform, "undone", replicas=2, revision=revision_of(wanted))
        known = dict(pods.seen)
        begin = time.perf_counter()
        ask(platform, "POST", "/v1/apps/undone/undo").raise_for_status()
        at = within(_WITHIN_S, partial(pods.new, workload, known, pods.seen))
        took.append(1000 * (at - begin))
    return took


def _upgraded(platform: Platform, instances: int) -> float:
    """From the command until all run the new revision and no old one is left, in seconds."""
    old = _many(spec("many", replicas=instances))
    put(platform, "many", old)
    await_settled(platform, "many", replicas=instances)
    new = _many(another("many", replicas=instances, number=1))
    begin = time.perf_counter()
    put(platform, "many", new)
    await_settled(platform, "many", replicas=instances, revision=revision_of(new))
    took = time.perf_counter() - begin
    ask(platform, "DELETE", "/v1/apps/many").raise_for_status()
    return took


def _many(wanted: AppSpec) -> AppSpec:
    small = Resources(cpu=0.05, memory_mb=64)
    return msgspec.structs.replace(wanted, resources=small, rollout=Rollout(surge=10))


def _turns(platform: Platform, amounts: Amounts) -> list[Figure]:
    apps = [f"turned-{number}" for number in range(amounts.apps)]
    load = turned(platform, apps, amounts.turns, callers=2, pause_s=_PAUSE_S)
    say(f"{GROUP}: {dict(load.ends)}")
    turns = amounts.turns
    each = f"{turns.scale_downs} downs, {turns.scale_ups} ups, {turns.updates} updates"
    count = f"{load.offered:,} requests, {amounts.apps} apps, each {each}"
    return [
        _one(SUCCESS, 100 * load.share_ok, count),
        _one(ABORTED, load.aborted, count),
    ]


def _quantiles(measure: Measure, values: Sequence[float], of: str) -> list[Figure]:
    return [
        _one(
            replace(measure, name=f"{measure.name}, {name}"),
            quantile(values, q),
            f"{len(values)} {of}",
        )
        for name, q in (("p50", 0.5), ("p99", 0.99))
    ]


def _one(measure: Measure, value: float, count: str) -> Figure:
    (figure,) = figures(
        group=GROUP,
        measures=[measure],
        taken={measure.name: {_OURS: [value]}},
        peers=(),
        counts={_OURS: count},
    )
    return figure
