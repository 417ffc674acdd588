"""Applications that live through days: what each evaluation decides is what the next one finds.

Load rises and falls by the clock, jumps, and is not known at times; pods start, are measured or
not, and serve; people order. No two evaluations are of the same inputs, and none needs a clock: the
same ``seed`` gives the same bytes.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec
from msgspec import UNSET

from midstage.contracts.capacity import CapacityInput, CapacitySample
from midstage.contracts.cluster import Phase
from midstage.contracts.forecast import ForecastInput
from midstage.contracts.manual import Direction, Override, Pause
from midstage.contracts.policy import Policy
from midstage.contracts.scaling import (
    Changed,
    Evaluation,
    EvaluationMade,
    Inputs,
    KnativeInput,
    LoadInput,
    PodInput,
    Quota,
    Rule,
    SignalInput,
    Wanted,
)
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.policies import longest_s, period_s
from midstage.hpa.decide.scaling import decide, evolve, ordered
from midstage.hpa.model import Manual, Scaler
from midstage.hpa.views.wants import Wants
from tests.bench.scaling import NOW

STEP: Final = timedelta(seconds=15)
_DAY_S: Final = 86_400
_SECOND: Final = timedelta(seconds=1)
_POLICY: Final = msgspec.json.Decoder(Policy)


class Life:
    """One application under one policy, from its first evaluation on."""

    def __init__(self, app: str, policy: Policy, seed: int) -> None:
        self._random = Random(seed)
        self._app = app
        self._policy = _POLICY.decode(msgspec.json.encode(policy))  # a target of 10 is 10.0 there
        self._now = NOW + self._random.random() * timedelta(days=7)
        self._scaler = Scaler()
        self._wants = Wants()
        self._before: Evaluation | None = None
        self._pods: list[tuple[str, datetime, datetime]] = []
        self._jump = 1.0
        self._made = 0
        self._offset = self._random.randrange(10**6)

    def evaluations(self) -> Iterator[EvaluationMade]:
        """One each step, for ever."""
        while True:
            offsets = {
                f"midstage.load.v1/{n}": self._offset + 37 * self._made + n for n in range(24)
            }
            made = msgspec.structs.replace(evaluate(self._inputs()), engine=ENGINE, offsets=offsets)
            facts = decide(self._scaler, made)
            for fact in facts:
                self._scaler = evolve(self._scaler, fact)
            if made.want is not None:
                self._wants.apply(self._app, _wanted(made), self._now)
            self._before = made
            self._made += 1
            self._now += STEP + self._random.random() * _SECOND
            yield EvaluationMade(
                app=self._app, evaluation=made, decided=bool(facts), epoch=1 + self._made // 999
            )

    def _inputs(self) -> Inputs:
        now, chance = self._now, self._random.random
        self._live()
        load = self._load()
        held = load.concurrency or 0.0
        manual = ordered(self._scaler, now)
        return Inputs(
            app=self._app,
            now=now,
            policy=self._policy,
            spec_version=1,
            current=self._scaler.count,
            load=load,
            pods=tuple(self._pod(*each, used=held / 24) for each in self._pods),
            cluster_at=None if chance() < 0.01 else self._ago(40 if chance() < 0.02 else 9),
            wants=self._earlier(),
            changes=self._changes(),
            scale_version=self._scaler.facts,
            initial=2,
            signals=self._signals(held),
            knative=self._knative(load),
            cold_start_s=round(20 + 60 * chance(), 3) if self._policy.timed else None,
            override=manual.override,
            pause=manual.pause,
            quota=Quota(replicas=9, reason="pods: 9 of 20") if chance() < 0.03 else None,
            forecast=self._forecast(held),
            capacity=self._capacity(load),
        )

    def _live(self) -> None:
        """Pods come and go after the count; now and then the load jumps or somebody orders."""
        chance = self._random.random
        for number in range(len(self._pods), self._scaler.count):
            serves = self._now + (10 + 120 * chance()) * _SECOND
            self._pods.append((f"{self._app}-{self._made}-{number}", self._now, serves))
        del self._pods[self._scaler.count :]
        if chance() < 0.02:
            self._jump = 0.2 + 3 * chance()
        if chance() < 0.005:
            until = self._now + timedelta(minutes=1 + 20 * chance())
            least = self._random.randrange(1, 40)
            order = Override(by="anna", why="a fair", at=self._now, until=until, min=least)
            way = self._random.choice(list(Direction))
            hold = Pause(by="ben", at=self._now, until=until, direction=way)
            manual = Manual(override=order) if chance() < 0.5 else Manual(pause=hold)
            self._scaler = replace(self._scaler, manual=manual)

    def _load(self) -> LoadInput:
        chance = self._random.random
        of_day = 1 + math.sin((self._now - NOW) / _SECOND / _DAY_S * 2 * math.pi)
        carried = 12 * of_day * self._jump * (0.8 + 0.4 * chance())
        until = self._ago(20 if chance() < 0.02 else 5)
        return LoadInput(
            until=until,
            seconds=15,
            requests_per_s=None
            if chance() < 0.01
            else round(carried * 2, self._random.randrange(9)),
            gauged_until=until,
            gauged_seconds=15,
            concurrency=None if chance() < 0.01 else round(carried, 6),
        )

    def _pod(self, name: str, made: datetime, serves: datetime, *, used: float) -> PodInput:
        chance, ready = self._random.random, serves <= self._now
        measured = ready and chance() > 0.03
        return PodInput(
            name=name,
            ready=ready,
            cpu=round(used * chance() / max(1, len(self._pods)) * 4, 4) if measured else None,
            cpu_requested=1.0,
            cpu_at=self._ago(9) if measured else None,
            phase=Phase.RUNNING if ready else Phase.PENDING if chance() < 0.3 else Phase.STARTING,
            started_at=made,
            ready_at=serves if ready else None,
            memory_mb=round(used * 900 * chance(), 2) if measured else None,
            memory_requested_mb=512,
        )

    def _earlier(self) -> tuple[Wanted, ...]:
        windows = [self._now - each * _SECOND for each in longest_s(self._policy)]
        found = {
            self._wants.least(self._app, windows[0]),
            self._wants.largest(self._app, windows[1]),
        }
        kept = [want for want in found if want is not None]
        return tuple(sorted(kept, key=lambda want: (want.at, want.replicas)))

    def _changes(self) -> tuple[Changed, ...]:
        longest = max(period_s(self._policy), *longest_s(self._policy))
        since = self._now - longest * _SECOND
        return tuple(each for each in self._scaler.changes if each.at > since)

    def _signals(self, held: float) -> tuple[SignalInput, ...]:
        return tuple(
            SignalInput(
                rule=Rule.SIGNAL,
                name=name,
                value=float(round(held * 9)),
                observed_at=self._ago(70),
                growth_per_s=round(self._random.uniform(-3, 3), 3),
            )
            for name in self._policy.signals
        )

    def _knative(self, load: LoadInput) -> KnativeInput | None:
        if self._policy.knative is None or load.concurrency is None:
            return None
        return KnativeInput(
            until=load.gauged_until,
            stable=load.concurrency,
            panic=round(load.concurrency * (0.5 + 2 * self._random.random()), 6),
            memory=None if self._before is None else self._before.memory,
        )

    def _forecast(self, held: float) -> ForecastInput | None:
        if self._policy.forecast is None:
            return None
        off = "without it nothing was lost either" if self._random.random() < 0.3 else ""
        return ForecastInput(carried=round(held * 1.2, 3), until=self._ago(600), off=off)

    def _capacity(self, load: LoadInput) -> CapacityInput | msgspec.UnsetType:
        if self._policy.latency is None:
            return UNSET
        carried, count = load.requests_per_s or 0.0, max(1, len(self._pods))
        before = None if self._before is None else self._before.learned
        sample = CapacitySample(
            until=self._ago(5),
            seconds=15,
            requests=int(carried * 15),
            concurrency=round(carried / 10, 3),
            p99_ms=round(80 / max(0.05, 1 - carried / count / 15), 3),
        )
        return CapacityInput(
            samples=(sample,),
            in_flight=load.concurrency,
            growth_per_s=round(self._random.uniform(-1, 1), 3),
            learned=None if before is UNSET else before,
        )

    def _ago(self, most_s: float) -> datetime:
        return self._now - self._random.random() * most_s * _SECOND


def _wanted(made: Evaluation) -> Wanted:
    return Wanted(at=made.inputs.now, replicas=made.want or 0)
