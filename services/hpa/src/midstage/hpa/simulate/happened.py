"""What really happened to an application, as a run beside those of policies.

Its replicas are those that control saw: of each workload the newest at a step's begin. Before the
first one nothing is known, so such a step's load is left out of the figures.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np

from midstage.contracts import topics
from midstage.contracts.cluster import Kind, ObjectGone, PodObserved, WorkloadObserved
from midstage.contracts.topics import Topic
from midstage.eventlog.log import Log
from midstage.hpa.simulate.logged import facts
from midstage.hpa.simulate.replay import Run
from midstage.hpa.simulate.series import STEP_S, Series

Seen = WorkloadObserved | ObjectGone | PodObserved
_Where = tuple[str, str, str]


def happened(
    log: Log, app: str, series: Series, *, each: float, topic: Topic = topics.CLUSTER
) -> Run | None:
    """The run of ``app`` as the topic still holds it; None where it holds no workload of it.

    ``each``: what one replica carries.
    """
    return followed([fact for fact in _seen(log, topic) if fact.app == app], series, each=each)


def followed(seen: Sequence[Seen], series: Series, *, each: float) -> Run | None:
    """The run that these facts of one application tell, in any order."""
    told = sorted(
        (fact for fact in seen if not isinstance(fact, PodObserved)),
        key=lambda fact: (fact.observed_at, fact.epoch, fact.resource_version),
    )
    sums = list(_sums(told))
    if not any(isinstance(fact, WorkloadObserved) for fact in told):
        return None
    begun = series.begun.timestamp()
    moments = begun + np.arange(len(series.values)) * float(STEP_S)
    times = np.array([at.timestamp() for at, _, _ in sums])
    newest = np.searchsorted(times, moments, side="right") - 1
    is_known = newest >= 0
    ready = np.array([count for _, count, _ in sums], np.int64)[newest]
    there = np.array([count for _, _, count in sums], np.int64)[newest]
    return Run(
        load=np.where(is_known, series.values, np.nan),
        ready=np.where(is_known, ready, 0),
        there=np.where(is_known, there, 0),
        queue=np.zeros(len(series.values)),
        each=each,
        waits_s=tuple(_waits_s(seen)),
    )


def _sums(told: Iterable[Seen]) -> Iterator[tuple[datetime, int, int]]:
    """After each fact: when, all ready replicas, and all that are ordered or still there."""
    held: dict[_Where, tuple[int, int]] = {}
    for fact in told:
        where = (fact.cluster, fact.namespace, fact.name)
        match fact:
            case WorkloadObserved():
                held[where] = (fact.ready, max(fact.ready, fact.replicas))
            case ObjectGone():
                if held.pop(where, None) is None:
                    continue
            case PodObserved():
                continue
        ready, there = zip(*held.values(), strict=True) if held else ((), ())
        yield fact.observed_at, sum(ready), sum(there)


def _waits_s(seen: Iterable[Seen]) -> Iterator[float]:
    """Of each pod the seconds from its making until it was first seen ready."""
    first: dict[str, tuple[datetime, datetime]] = {}
    for fact in seen:
        if isinstance(fact, PodObserved) and fact.ready_at is not None:
            now = (fact.ready_at, fact.created_at)
            first[fact.uid] = min(first.get(fact.uid, now), now)
    for ready_at, created_at in first.values():
        yield (ready_at - created_at).total_seconds()


def _seen(log: Log, topic: Topic) -> Iterator[Seen]:
    for fact in facts(log, topic):
        if isinstance(fact, WorkloadObserved | PodObserved) or (
            isinstance(fact, ObjectGone) and fact.kind is Kind.WORKLOAD
        ):
            yield fact
