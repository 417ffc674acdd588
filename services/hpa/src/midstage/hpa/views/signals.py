"""The newest value of each signal, and of what waits how it moved: what policies name of it.

A fact seen twice, or one older than the newest, changes no value; the order of arrival does not
matter. What is older than ``FORGOTTEN`` is unknown, whoever folded it, so that a reader that began
late knows the same.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from midstage.contracts.autoscaling import Metric
from midstage.contracts.policy import Policy
from midstage.contracts.scaling import Rule, SignalInput
from midstage.contracts.signals import SignalKind, SignalObserved, series_of, series_of_lag
from midstage.hpa.decide.figures import known
from midstage.hpa.views.backlog import Sample, arrived_per_s, each_per_s, growth_per_s, sample

FORGOTTEN: Final = timedelta(minutes=10)
AHEAD: Final = timedelta(seconds=60)
MOST_OF_APP: Final = 200
"""Signals by source of one application; of more, those heard of longest ago are forgotten."""
_FRESH: Final = timedelta(seconds=60)
_WAITS: Final = frozenset({SignalKind.LAG, SignalKind.QUEUE})
_RULES: Final = {
    SignalKind.PODS: Rule.PODS,
    SignalKind.OBJECT: Rule.OBJECT,
    SignalKind.EXTERNAL: Rule.EXTERNAL,
    SignalKind.LAG: Rule.SIGNAL,
    SignalKind.QUEUE: Rule.SIGNAL,
}
_SWEEP_EACH: Final = 10_000


class Which(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """A signal of an application."""

    kind: SignalKind
    name: str
    series: str = ""


@dataclass(slots=True, kw_only=True)
class _Said:
    """What one source said of a signal: the newest fact without its parts, and its samples."""

    newest: SignalObserved
    samples: list[Sample] = field(default_factory=list)


class Signals:
    """The signals of all applications; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self._apps: dict[str, dict[tuple[Which, str], _Said]] = {}
        self._until_sweep = _SWEEP_EACH

    def apply(self, fact: SignalObserved, at: datetime) -> bool:
        """Take in a fact that was written ``at``; whether it is of our time and can be true."""
        if not at - FORGOTTEN < fact.observed_at < at + AHEAD or not _valid(fact):
            return False
        held = self._apps.setdefault(fact.app, {})
        place = (Which(kind=fact.kind, name=fact.name, series=fact.series), fact.source)
        light = msgspec.structs.replace(fact, partitions=fact.partitions[:0])
        said = held.setdefault(place, _Said(newest=light))
        if fact.observed_at > said.newest.observed_at:
            said.newest = light
        if fact.kind in _WAITS:
            _insert(said.samples, sample(fact))
        if len(held) > MOST_OF_APP:
            del held[min(held, key=lambda each: (held[each].newest.observed_at, each))]
        self._sweep(at)
        return True

    def of(self, app: str, policy: Policy, now: datetime) -> tuple[SignalInput, ...]:
        """Those that the policy names, in its order, as far as they are known."""
        held = self._apps.get(app)
        if held is None:
            return ()
        found = (self._of(held, which, now) for which in dict.fromkeys(_named(policy)))
        return tuple(each for each in found if each is not None)

    def _of(
        self, held: dict[tuple[Which, str], _Said], which: Which, now: datetime
    ) -> SignalInput | None:
        said = [
            each
            for (of, _), each in held.items()
            if of == which and now - each.newest.observed_at <= FORGOTTEN
        ]
        if not said:
            return None
        newest = max(said, key=lambda each: (each.newest.observed_at, each.newest.source))
        if which.kind is SignalKind.PODS:
            return _of_pods(newest, said, now)
        samples = [each for each in newest.samples if now - each.at <= FORGOTTEN]
        arrived = newest.newest.arrived_per_s
        return SignalInput(
            rule=_RULES[which.kind],
            name=which.name,
            series=which.series,
            source=newest.newest.source,
            value=newest.newest.value,
            observed_at=newest.newest.observed_at,
            partitions=samples[-1].partitions if samples else 0,
            arrived_per_s=arrived_per_s(samples) if arrived is None else arrived,
            growth_per_s=growth_per_s(samples),
            each_per_s=each_per_s(samples),
        )

    def _sweep(self, at: datetime) -> None:
        """Now and then forget what nobody speaks of any more."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EACH
        for app, held in list(self._apps.items()):
            kept = {
                place: said
                for place, said in held.items()
                if said.newest.observed_at > at - FORGOTTEN
            }
            if kept:
                self._apps[app] = kept
            else:
                del self._apps[app]


def _valid(fact: SignalObserved) -> bool:
    """A broken figure is no figure: the value before it stands until it is too old."""
    if fact.kind is SignalKind.PODS:
        return bool(fact.by_pod) and all(known(each) is not None for each in fact.by_pod.values())
    return known(fact.value) is not None


def _named(policy: Policy) -> Iterator[Which]:
    for metric in policy.metrics:
        yield from _of_metric(metric)
    for name, said in sorted(policy.signals.items()):
        kind = SignalKind.LAG if said.group else SignalKind.QUEUE
        yield Which(kind=kind, name=name, series=series_of_lag(said))


def _of_metric(metric: Metric) -> Iterator[Which]:
    if metric.pods is not None:
        of = metric.pods.metric
        yield Which(kind=SignalKind.PODS, name=of.name, series=series_of(of))
    if metric.object is not None:
        of, described = metric.object.metric, metric.object.described_object
        yield Which(kind=SignalKind.OBJECT, name=of.name, series=series_of(of, described))
    if metric.external is not None:
        of = metric.external.metric
        yield Which(kind=SignalKind.EXTERNAL, name=of.name, series=series_of(of))


def _of_pods(newest: _Said, said: Sequence[_Said], now: datetime) -> SignalInput:
    """Each cluster tells of its own pods; as old as the oldest that is fresh."""
    fresh = [each.newest for each in said if now - each.newest.observed_at <= _FRESH]
    told = sorted(fresh or [newest.newest], key=lambda each: (each.observed_at, each.source))
    by_pod: dict[str, float] = {}
    for each in told:
        by_pod.update(each.by_pod)
    return SignalInput(
        rule=Rule.PODS,
        name=newest.newest.name,
        series=newest.newest.series,
        source=",".join(sorted(each.source for each in told)),
        by_pod=dict(sorted(by_pod.items())),
        observed_at=told[0].observed_at,
    )


def _insert(samples: list[Sample], one: Sample) -> None:
    """Keep them ordered by time, each moment once."""
    at = bisect_left(samples, one.at, key=lambda each: each.at)
    if at < len(samples) and samples[at].at == one.at:
        return
    samples.insert(at, one)
    while samples[0].at < samples[-1].at - FORGOTTEN:
        del samples[0]
