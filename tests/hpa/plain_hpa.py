"""HPA v2 once more: slow, obvious, straight from its documentation, knowing nothing of ours.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ and the Go sources of
``pkg/controller/podautoscaler``; amounts are thousandths, ages seconds.
"""

import math
from dataclasses import dataclass, field

INITIALIZATION_S = 300
DELAY_S = 30


@dataclass(frozen=True, kw_only=True)
class PlainPod:
    """A pod: pending or running, and what it uses if that is known."""

    pending: bool
    ready: bool
    started_s: float
    transition_s: float
    request: int
    metric: int | None
    metric_s: float
    window_s: float = 15


@dataclass(frozen=True, kw_only=True)
class PlainPolicy:
    """At most so many pods, or percent, in a period."""

    percent: bool
    value: int
    period_s: int


@dataclass(frozen=True, kw_only=True)
class PlainRules:
    """One direction."""

    select: str
    window_s: int
    policies: list[PlainPolicy]


@dataclass(frozen=True, kw_only=True)
class PlainMetric:
    """Percent of the request, or an average for each pod, or a value shared by all."""

    kind: str  # cpu | memory | external
    target: int
    value: int | None = None


@dataclass(kw_only=True)
class PlainHpa:
    """The state of one autoscaler at one moment."""

    current: int
    least: int
    most: int
    metrics: list[PlainMetric]
    cpu_pods: list[PlainPod]
    memory_pods: list[PlainPod]
    up: PlainRules | None
    down: PlainRules | None
    wants: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=list)  # positive: it grew

    def desired(self) -> int:
        """The count that it would set."""
        if self.current > self.most:
            return self.most
        if self.current < self.least:
            return self.least
        found = [self.proposal(metric) for metric in self.metrics]
        known = [each for each in found if each is not None]
        if not known:
            return self.current
        wanted = max(known)
        if len(known) < len(found) and wanted < self.current:
            return self.current
        if self.up is None or self.down is None:
            return self.legacy(wanted)
        return self.rated(self.stabilised(wanted))

    def proposal(self, metric: PlainMetric) -> int | None:
        if metric.kind == "external":
            if metric.value is None:
                return None
            if 0.9 <= metric.value / (metric.target * self.current) <= 1.1:
                return self.current
            return math.ceil(metric.value / metric.target)
        cpu = metric.kind == "cpu"
        return self.utilisation(self.cpu_pods if cpu else self.memory_pods, metric.target, cpu=cpu)

    def utilisation(self, pods: list[PlainPod], target: int, *, cpu: bool) -> int | None:
        group: dict[str, list[PlainPod]] = {"ready": [], "unready": [], "missing": []}
        for pod in pods:
            group[self.group_of(pod, cpu=cpu)].append(pod)
        if not group["ready"] or any(pod.request == 0 for pod in pods):
            return None
        counted = [(pod.metric or 0, pod.request) for pod in group["ready"]]
        ratio = self.share(counted) / target
        guessed = self.guessed(group, ratio, target)
        if not group["missing"] and not (ratio > 1 and group["unready"]):
            return self.current if 0.9 <= ratio <= 1.1 else math.ceil(ratio * len(counted))
        again = counted + guessed
        new = self.share(again) / target
        if 0.9 <= new <= 1.1 or (ratio < 1 < new) or (new < 1 < ratio):
            return self.current
        replicas = math.ceil(new * len(again))
        against = replicas > self.current if new < 1 else replicas < self.current
        return self.current if against else replicas

    def group_of(self, pod: PlainPod, *, cpu: bool) -> str:
        if pod.pending:
            return "unready"
        if pod.metric is None:
            return "missing"
        return "unready" if cpu and self.is_unready(pod) else "ready"

    def guessed(
        self, group: dict[str, list[PlainPod]], ratio: float, target: int
    ) -> list[tuple[int, int]]:
        if ratio < 1:
            full = max(100, target)
            return [(pod.request * full // 100, pod.request) for pod in group["missing"]]
        if ratio > 1:
            return [(0, pod.request) for pod in (*group["missing"], *group["unready"])]
        return []

    def is_unready(self, pod: PlainPod) -> bool:
        if pod.started_s < INITIALIZATION_S:
            return not pod.ready or pod.metric_s > pod.transition_s - pod.window_s
        return not pod.ready and pod.started_s - pod.transition_s < DELAY_S

    def share(self, counted: list[tuple[int, int]]) -> int:
        return sum(used for used, _ in counted) * 100 // sum(request for _, request in counted)

    def legacy(self, wanted: int) -> int:
        for age, want in self.wants:
            if age <= 300:
                wanted = max(wanted, want)
        most = min(self.most, max(2 * self.current, 4))
        return max(self.least, min(wanted, most))

    def stabilised(self, wanted: int) -> int:
        assert self.up is not None
        assert self.down is not None
        up = down = wanted
        for age, want in self.wants:
            if age < self.up.window_s:
                up = min(up, want)
            if age < self.down.window_s:
                down = max(down, want)
        count = self.current
        count = max(count, up)
        return min(count, down)

    def rated(self, wanted: int) -> int:
        rules = self.up if wanted > self.current else self.down
        assert rules is not None
        if wanted == self.current:
            return wanted
        if rules.select == "Disabled":
            return self.current
        limits = []
        sign = 1 if wanted > self.current else -1
        for policy in rules.policies:
            start = self.current - sum(by for age, by in self.changes if age < policy.period_s)
            if not policy.percent:
                limits.append(start + sign * policy.value)
            elif sign > 0:
                limits.append(math.ceil(start * (1 + policy.value / 100)))
            else:
                limits.append(int(start * (1 - policy.value / 100)))
        if sign > 0:
            limit = max(self.current, (max if rules.select == "Max" else min)(limits))
            return min(wanted, limit, self.most)
        limit = min(self.current, (min if rules.select == "Max" else max)(limits))
        return max(wanted, limit, self.least)
