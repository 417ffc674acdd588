"""What each rule proposes, in replicas, from totals, so that nothing is ordered twice.

A rule whose input is missing or stale proposes None. Requests/s and concurrency: what all replicas
carried together, by the target of one (HPA v2's AverageValue). CPU: HPA v2's utilisation, with its
caution: a ready pod that is not measured counts as busy where the rule would shrink, and as idle
where it would grow; a starting one counts as idle capacity that comes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from midstage.contracts.scaling import Inputs, PodInput, Proposal, Rule
from midstage.hpa.decide.figures import age_s, known, needed, shown, up

LOAD_STALE_S: Final = 10.0
CPU_STALE_S: Final = 30.0
CLUSTER_STALE_S: Final = 30.0
MOST_CORES: Final = 1e6
"""A pod that requests more, or uses more, is a broken figure."""
_WORDS: Final = {
    Rule.REQUESTS_PER_S: "requests/s",
    Rule.CONCURRENCY: "in flight and pending",
    Rule.CPU: "of the request",
}


def proposals(inputs: Inputs, current: int) -> tuple[Proposal, ...]:
    """One proposal for each target of the policy; ``current`` replicas are there or coming."""
    targets = inputs.policy.targets
    proposed: list[Proposal] = []
    if targets.requests_per_s is not None:
        proposed.append(requests_per_s(inputs, targets.requests_per_s))
    if targets.concurrency is not None:
        proposed.append(concurrency(inputs, targets.concurrency))
    if targets.cpu is not None:
        proposed.append(cpu(inputs, targets.cpu, current))
    return tuple(proposed)


def requests_per_s(inputs: Inputs, target: float) -> Proposal:
    """Requests ended a second, by so many for each replica."""
    load = inputs.load
    why_not = _stale("load", load.until, inputs.now)
    return _by_totals(inputs, Rule.REQUESTS_PER_S, load.requests_per_s, target, why_not)


def concurrency(inputs: Inputs, target: float) -> Proposal:
    """Requests in flight and pending, by so many for each replica (Knative's KPA does the same)."""
    load = inputs.load
    why_not = _stale("what is in flight", load.gauged_until, inputs.now)
    return _by_totals(inputs, Rule.CONCURRENCY, load.concurrency, target, why_not)


def cpu(inputs: Inputs, target: float, current: int) -> Proposal:
    """Cores used by the ready pods, by ``target`` of what a pod requests.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details).
    """
    why_not = cluster_unknown(inputs)
    ready = [pod for pod in inputs.pods if pod.ready and 0 < pod.cpu_requested <= MOST_CORES]
    measured = [pod for pod in ready if _measured(pod, inputs.now)]
    if why_not is None and not measured:
        why_not = f"none of {len(ready)} ready pods has a CPU figure of the last {CPU_STALE_S:g} s"
    if why_not is not None:
        return _none(Rule.CPU, target, why_not)
    requested = sum(pod.cpu_requested for pod in measured)
    share = min(_used(measured) / requested, 1e9)
    exact, filled = _filled(measured, ready, share=share, target=target, current=current)
    missing = len(ready) - len(measured)
    return Proposal(
        rule=Rule.CPU,
        carried=share,
        target=target,
        want=up(exact),
        reason=f"{len(measured)} ready pods use {shown(share)} of their request, {shown(target)} "
        f"each" + (f"; {missing} not measured, {filled}" if missing else ""),
        exact=exact,
        ready_ratio=needed(share, target),
    )


def cluster_unknown(inputs: Inputs) -> str | None:
    """Why the pods are not known; None when they are."""
    if inputs.cluster_at is None:
        return "the cluster can't be asked"
    age = age_s(inputs.cluster_at, inputs.now)
    return f"the cluster was reached {age:.0f} s ago" if age > CLUSTER_STALE_S else None


def _by_totals(
    inputs: Inputs, rule: Rule, carried: float | None, target: float, why_not: str | None
) -> Proposal:
    total = known(carried)
    if why_not is None and total is None:
        why_not = "it is not known"
    if why_not is not None or total is None:
        return _none(rule, target, why_not or "it is not known")
    ready = sum(pod.ready for pod in inputs.pods)
    exact = needed(total, target)
    return Proposal(
        rule=rule,
        carried=total,
        target=target,
        want=up(exact),
        reason=f"{shown(total)} {_WORDS[rule]} together, {shown(target)} each",
        exact=exact,
        ready_ratio=exact / ready if ready else None,
    )


def _none(rule: Rule, target: float, why_not: str) -> Proposal:
    return Proposal(rule=rule, target=target, reason=why_not)


def _stale(what: str, at: datetime | None, now: datetime) -> str | None:
    if at is None:
        return f"{what} is not known"
    age = age_s(at, now)
    return f"{what} was seen {age:.0f} s ago" if age > LOAD_STALE_S else None


def _measured(pod: PodInput, now: datetime) -> bool:
    fresh = pod.cpu_at is not None and age_s(pod.cpu_at, now) <= CPU_STALE_S
    return fresh and known(pod.cpu) is not None


def _used(pods: Sequence[PodInput]) -> float:
    return sum(min(pod.cpu or 0.0, MOST_CORES) for pod in pods)


def _filled(
    measured: Sequence[PodInput],
    ready: Sequence[PodInput],
    *,
    share: float,
    target: float,
    current: int,
) -> tuple[float, str]:
    """Replicas wanted when the unmeasured are guessed; the guess must not turn the direction."""
    each = sum(pod.cpu_requested for pod in ready) / len(ready) * target
    used = _used(measured)
    unmeasured = sum(pod.cpu_requested for pod in ready) - sum(p.cpu_requested for p in measured)
    if share > target:
        return needed(used, each), "counted as idle"
    filled = needed(used + unmeasured * max(1.0, target), each)
    turned = unmeasured > 0 and filled > current
    return (float(current) if turned else filled), "counted as busy"
