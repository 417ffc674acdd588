"""The engine in a simulation: ``evaluate``, as the live service asks it, with what it remembers."""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from midstage.contracts.policy import Policy
from midstage.contracts.scaling import Changed, Inputs, LoadInput, PodInput, Wanted
from midstage.hpa.decide import policies
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.simulate.past import Past
from midstage.hpa.simulate.scalers import Extremes
from midstage.hpa.simulate.series import STEP_S

_STEP: Final = timedelta(seconds=STEP_S)


class Engine:
    """hpa's ``evaluate`` with what the live service would have remembered."""

    def __init__(
        self, policy: Policy, *, begun: datetime, past: Past | None = None, cold_start_s: float
    ) -> None:
        """``past`` is what the forecast goes by; None: the policy has none."""
        self._policy = policy
        self._begun = begun
        self._past = past
        self._cold_start_s = cold_start_s
        self._up_s, self._down_s = policies.longest_s(policy)
        self._period_s = max(policies.period_s(policy), self._up_s, self._down_s)
        self._largest = Extremes(sign=1)
        self._least = Extremes(sign=-1)
        self._changes: deque[tuple[int, Changed]] = deque()
        self._pods: dict[tuple[int, int], tuple[PodInput, ...]] = {}
        self.reason = ""

    def __call__(self, step: int, carried: float, *, ready: int, coming: int) -> int:
        """What is seen is late already, so it is told as new: the engine would not believe it."""
        now = self._begun + step * _STEP
        made = evaluate(
            Inputs(
                app="simulated",
                now=now,
                policy=self._policy,
                spec_version=1,
                current=ready + coming,
                load=self._load(now, carried),
                pods=self._known(ready, coming),
                cluster_at=now,
                wants=self._wants(step),
                changes=self._changed(step),
                cold_start_s=self._cold_start_s,
                forecast=None if self._past is None else self._past.at(step),
            )
        )
        self.reason = made.reason
        if made.want is not None:
            self._largest.add(step, made.want)
            self._least.add(step, made.want)
        if made.replicas != ready + coming:
            change = Changed(at=now, before=ready + coming, after=made.replicas)
            self._changes.append((step, change))
        return made.replicas

    def _load(self, now: datetime, carried: float) -> LoadInput:
        """In the unit of the policy's first target by totals."""
        if self._policy.targets.requests_per_s is None:
            return LoadInput(gauged_until=now, gauged_seconds=60, concurrency=carried)
        return LoadInput(until=now, seconds=60, requests_per_s=carried)

    def _wants(self, step: int) -> tuple[Wanted, ...]:
        found = {
            self._largest.since(step - self._down_s / STEP_S),
            self._least.since(step - self._up_s / STEP_S),
        }
        kept = [each for each in found if each is not None]
        return tuple(Wanted(at=self._begun + at * _STEP, replicas=n) for at, n in sorted(kept))

    def _changed(self, step: int) -> tuple[Changed, ...]:
        while self._changes and (step - self._changes[0][0]) * STEP_S >= self._period_s:
            self._changes.popleft()
        return tuple(each for _, each in self._changes)

    def _known(self, ready: int, coming: int) -> tuple[PodInput, ...]:
        found = self._pods.get((ready, coming))
        if found is None:
            found = tuple(
                PodInput(name=f"pod-{number}", ready=number < ready)
                for number in range(ready + coming)
            )
            self._pods[ready, coming] = found
        return found
