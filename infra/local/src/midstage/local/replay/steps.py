"""Counts over time: how many replicas were wanted, serving or ready from which moment on. Pure.

Ready pods are folded from the cluster's facts by the one fold that every service uses, in the order
in which they were observed; so a fact seen twice, out of order or of a zombie changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from midstage.contracts.cluster import ClusterFact, PodObserved
from midstage.contracts.inventory import Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From ``at`` on it is ``count``, until the next step."""

    at: datetime
    count: int


Steps = Sequence[Step]
"""In order of time, no two at one moment, each another count than the one before."""


def serves(pod: PodObserved) -> bool:
    """Whether new requests may go to the pod."""
    return pod.ready and not pod.draining


def ready(pod: PodObserved) -> bool:
    """Whether the pod holds its room and could serve: also while it drains."""
    return pod.ready


def pods(
    facts: Iterable[ClusterFact], *, app: str, counts: Callable[[PodObserved], bool]
) -> tuple[Step, ...]:
    """How many pods of ``app`` counted at each time; empty where there never was a fact."""
    inventory = Inventory()
    seen: list[Step] = []
    for fact in sorted(facts, key=lambda fact: fact.observed_at):
        inventory.apply(fact)
        count = sum(counts(pod) for pod in inventory.pods_of(app))
        seen.append(Step(at=fact.observed_at, count=count))
    return changes(seen)


def changes(seen: Iterable[Step]) -> tuple[Step, ...]:
    """The same counts, in order of time, as steps: of one moment the last holds."""
    kept: list[Step] = []
    for step in seen:
        if kept and kept[-1].at == step.at:
            kept.pop()
        if not kept or kept[-1].count != step.count:
            kept.append(step)
    return tuple(kept)


def at(steps: Steps, moment: datetime) -> int | None:
    """The count at ``moment``; None before the first step."""
    return next((step.count for step in reversed(steps) if step.at <= moment), None)


def within(steps: Steps, begun: datetime, ended: datetime) -> tuple[Step, ...]:
    """The steps from ``begun`` to ``ended``, the first of them with the count at ``begun``."""
    first = at(steps, begun)
    inner = (step for step in steps if begun < step.at <= ended)
    return (*(() if first is None else (Step(at=begun, count=first),)), *inner)


def seconds(steps: Steps, begun: datetime, ended: datetime) -> float:
    """Count times seconds, summed from ``begun`` to ``ended``; before the first step it is 0."""
    shown = within(steps, begun, ended)
    if not shown:
        return 0.0
    end = Step(at=ended, count=0)
    return sum(
        step.count * (following.at - step.at).total_seconds()
        for step, following in pairwise((*shown, end))
    )


def peak(steps: Steps, begun: datetime, ended: datetime) -> int:
    """The highest count from ``begun`` to ``ended``."""
    return max((step.count for step in within(steps, begun, ended)), default=0)


def reached(steps: Steps, count: int, *, since: datetime, until: datetime) -> datetime | None:
    """The first moment from ``since`` up to ``until`` with at least ``count``; None: never."""
    shown = within(steps, since, until)
    return next((step.at for step in shown if step.count >= count), None)
