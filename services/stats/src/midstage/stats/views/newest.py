"""The newest load of each application, of all shards together as every reader folds it.

A shard that says nothing of a second makes that second unknown; where no second is known of all
shards, the application is there with nothing but its name and its newest second.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from midstage.contracts import sketch
from midstage.contracts.load import LoadObserved, folded


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadShown:
    """The newest second of one application; None: unknown."""

    app: str
    second: datetime
    revision: int | None = None
    complete_until: datetime | None = None
    outcomes: Mapping[str, int] | None = None
    units: Mapping[str, int] | None = None
    in_flight: int | None = None
    pending: int | None = None
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None
    ttft_ms_p50: float | None = None
    ttft_ms_p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAnswer:
    """The newest load of each application, by name; units in micro-units."""

    load: tuple[LoadShown, ...]


def newest(facts: Iterable[LoadObserved]) -> LoadAnswer:
    """What the shards' facts of the last seconds say, in any order."""
    told: defaultdict[str, defaultdict[datetime, list[LoadObserved]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for fact in facts:
        told[fact.app][fact.second].append(fact)
    return LoadAnswer(load=tuple(_newest(app, told[app]) for app in sorted(told)))


def _newest(app: str, seconds: Mapping[datetime, Sequence[LoadObserved]]) -> LoadShown:
    for second in sorted(seconds, reverse=True):
        whole = folded(seconds[second])
        if whole is not None:
            return _shown(whole)
    return LoadShown(app=app, second=max(seconds))


def _shown(fact: LoadObserved) -> LoadShown:
    return LoadShown(
        app=fact.app,
        second=fact.second,
        revision=fact.revision,
        complete_until=fact.complete_until,
        outcomes=fact.outcomes,
        units=fact.units,
        in_flight=fact.in_flight,
        pending=fact.pending,
        latency_ms_p50=sketch.quantile(fact.latency_ms, 0.5),
        latency_ms_p99=sketch.quantile(fact.latency_ms, 0.99),
        ttft_ms_p50=sketch.quantile(fact.ttft_ms, 0.5),
        ttft_ms_p99=sketch.quantile(fact.ttft_ms, 0.99),
    )
