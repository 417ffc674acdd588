"""All that hpa has folded of the streams, and the inputs that it gives for an evaluation.

Pure: the same facts up to the same offsets, the same versions and the same ``now`` give the same
inputs, whether they were folded live, after a restart or by the replay.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import UNSET, UnsetType

from midstage.contracts.capacity import CapacityInput, Learned
from midstage.contracts.cluster import ClusterFact
from midstage.contracts.inventory import Inventory
from midstage.contracts.load import LoadObserved
from midstage.contracts.peaks import PeaksObserved
from midstage.contracts.policy import Knative, Measure, Policy
from midstage.contracts.scaling import (
    Changed,
    EvaluationMade,
    Inputs,
    KnativeInput,
    KnativeMemory,
    Wanted,
)
from midstage.contracts.signals import SignalObserved
from midstage.hpa.decide.policies import longest_s, panic_window_s, period_s
from midstage.hpa.decide.scaling import ordered
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.carried import Carried
from midstage.hpa.views.conditions import Conditioned
from midstage.hpa.views.latencies import Latencies
from midstage.hpa.views.pasts import Pasts
from midstage.hpa.views.pods import cold_start_s, pods, reached_at
from midstage.hpa.views.quotas import quota
from midstage.hpa.views.remembered import KEPT, Remembered
from midstage.hpa.views.signals import Signals
from midstage.hpa.views.wants import Wants

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the versioned logs say of one application, and at which versions."""

    asked: Asked
    spec_version: int
    scaler: Scaler
    scale_version: int


class World:
    """The fold of load, signals, cluster and earlier evaluations; not for two threads at once."""

    def __init__(self) -> None:
        """Know of nothing."""
        self.carried = Carried()
        self.inventory = Inventory()
        self.wants = Wants()
        self.conditioned = Conditioned()
        self.signals = Signals()
        self.remembered: Remembered[KnativeMemory] = Remembered()
        self.latencies = Latencies()
        self.learned: Remembered[Learned] = Remembered()
        self.pasts = Pasts()

    def load(self, fact: LoadObserved, at: datetime) -> bool:
        """Fold what was carried, written ``at``; whether it is of our time."""
        ours = self.carried.apply(fact, at)
        if ours:
            self.latencies.apply(fact)
        return ours

    def signal(self, fact: SignalObserved, at: datetime) -> bool:
        """Fold a signal, written ``at``; whether it is of our time and can be true."""
        return self.signals.apply(fact, at)

    def peaks(self, fact: PeaksObserved, at: datetime) -> None:
        """Fold a day of the past, written ``at``."""
        self.pasts.apply(fact, at)

    def cluster(self, fact: ClusterFact) -> None:
        """Fold what a cluster is."""
        self.inventory.apply(fact)

    def evaluated(self, fact: EvaluationMade, at: datetime) -> None:
        """Fold what was wanted, by us or by another process; written ``at``."""
        evaluation = fact.evaluation
        if evaluation.want is not None:
            want = Wanted(at=evaluation.inputs.now, replicas=evaluation.want)
            self.wants.apply(fact.app, want, at)
        self.remembered.apply(fact.app, evaluation.memory, evaluation.inputs.now, at)
        self.conditioned.apply(fact.app, evaluation)
        learned = None if evaluation.learned is UNSET else evaluation.learned
        self.learned.apply(fact.app, learned, evaluation.inputs.now, at)

    def inputs(self, app: str, standing: Standing, policy: Policy, now: datetime) -> Inputs:
        """What an evaluation of ``app`` under ``policy`` has to go by at ``now``."""
        manual = ordered(standing.scaler, now)
        cold_s = cold_start_s(self.inventory, app) if policy.timed or policy.forecast else None
        return Inputs(
            app=app,
            now=now,
            policy=policy,
            spec_version=standing.spec_version,
            current=standing.scaler.count,
            load=self.carried.of(app, now=now, window_s=policy.window_s),
            pods=pods(self.inventory, app, now),
            cluster_at=reached_at(self.inventory, app, now),
            quota=quota(self.inventory, app, standing.asked.requests, now),
            wants=self._wants(app, standing.scaler, policy, now),
            changes=_changes(standing.scaler, policy, now),
            scale_version=standing.scale_version,
            initial=standing.asked.initial,
            signals=self.signals.of(app, policy, now),
            knative=self._knative(app, standing.scaler, policy.knative, now),
            cold_start_s=cold_s,
            override=manual.override,
            pause=manual.pause,
            forecast=self.pasts.of(app, policy, cold_start_s=cold_s, now=now),
            capacity=self._capacity(app, standing.scaler, policy, now),
        )

    def _knative(
        self, app: str, scaler: Scaler, said: Knative | None, now: datetime
    ) -> KnativeInput | None:
        """The two windows, and what the last evaluation left."""
        if said is None:
            return None
        stable = self.carried.of(app, now=now, window_s=said.stable_window_s)
        panic = self.carried.of(app, now=now, window_s=panic_window_s(said))
        since = max(now - KEPT, scaler.removed_at or _LONG_AGO)
        memory = self.remembered.of(app, since=since)
        if said.metric is Measure.RPS:
            return KnativeInput(
                until=panic.until,
                stable=stable.requests_per_s,
                panic=panic.requests_per_s,
                memory=memory,
            )
        return KnativeInput(
            until=panic.gauged_until,
            stable=stable.concurrency,
            panic=panic.concurrency,
            memory=memory,
        )

    def _capacity(
        self, app: str, scaler: Scaler, policy: Policy, now: datetime
    ) -> CapacityInput | UnsetType:
        """The newest blocks, what is in flight, and what the last evaluation had learned."""
        if policy.latency is None:
            return UNSET
        gauged = self.carried.gauged(app, now=now, window_s=policy.window_s)
        since = max(now - KEPT, scaler.removed_at or _LONG_AGO)
        return CapacityInput(
            samples=self.latencies.of(app, now),
            in_flight=None if gauged is None else gauged[0],
            growth_per_s=None if gauged is None else gauged[1],
            learned=self.learned.of(app, since=since),
        )

    def _wants(self, app: str, scaler: Scaler, policy: Policy, now: datetime) -> tuple[Wanted, ...]:
        """The two that stabilising can need."""
        up, down = (
            max(now - timedelta(seconds=window_s), scaler.removed_at or _LONG_AGO)
            for window_s in longest_s(policy)
        )
        found = {self.wants.largest(app, down), self.wants.least(app, up)}
        kept = [want for want in found if want is not None]
        return tuple(sorted(kept, key=lambda want: (want.at, want.replicas)))


def _changes(scaler: Scaler, policy: Policy, now: datetime) -> tuple[Changed, ...]:
    since = now - timedelta(seconds=max(period_s(policy), *longest_s(policy)))
    return tuple(change for change in scaler.changes if change.at > since)
