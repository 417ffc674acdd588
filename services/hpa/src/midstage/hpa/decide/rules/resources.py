"""What pods use of a resource, as HPA v2 reckons: of all pods, with its cautions.

A figure that is missing, old, or none makes a pod one that is not measured. Where the cluster can't
be asked, nothing is known.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from msgspec import UNSET, UnsetType, structs

from midstage.contracts.cluster import Phase
from midstage.contracts.scaling import Inputs, PodInput, Proposal, Rule
from midstage.hpa.decide import policies
from midstage.hpa.decide.figures import MOST_REPLICAS, age_s, shown
from midstage.hpa.decide.hpav2 import pods as hpa
from midstage.hpa.decide.hpav2.pods import Pod, Readiness
from midstage.hpa.decide.hpav2.proposing import NoMetricError, Want, by_average, by_utilization
from midstage.hpa.decide.situation import cluster_unknown

USE_STALE_S: Final = 30.0
_USE_STALE: Final = timedelta(seconds=USE_STALE_S)
USE_WINDOW_S: Final = 15.0
"""A pod's use is measured over about so long."""
GPU_MEMORY: Final = "nvidia.com/gpu.memory"
RULES: Final = {
    "cpu": Rule.CPU,
    "memory": Rule.MEMORY,
    "nvidia.com/gpu": Rule.GPU,
    GPU_MEMORY: Rule.GPU_MEMORY,
}
READINESS: Final = Readiness()
_START: Final = timedelta(seconds=READINESS.initialization_s)
_LONG_AGO_S: Final = 1e9
_TO_PLACE, _SERVING = Phase.PENDING, Phase.RUNNING
_PENDING, _RUNNING = hpa.Phase.PENDING, hpa.Phase.RUNNING
"""By names of this module: a member of an enum is looked up by each use, dozens of times here."""
_MEBI: Final = 2**20
_MOST_M: Final = 10**18
"""More thousandths of anything are a broken figure."""


def used(inputs: Inputs, resource: str, share: float, current: int) -> Proposal:
    """A share of what the pods request."""
    return utilized(inputs, resource, policies.whole_percent(share), current)


def utilized(inputs: Inputs, resource: str, percent: int, current: int) -> Proposal:
    """Percent of what the pods request."""
    rule, target = RULES[resource], percent / 100
    try:
        want = by_utilization(
            _measured(inputs, resource),
            current=current,
            percent=percent,
            cpu=resource == "cpu",
            tolerance=policies.tolerance(inputs.policy),
            readiness=READINESS,
        )
    except NoMetricError as e:
        return Proposal(rule=rule, target=target, reason=str(e))
    said = f"the ready pods use {want.usage} % of their request, {percent} % wanted"
    return proposal(rule, want, carried=want.usage / 100, target=target, reason=said)


def averaged(inputs: Inputs, resource: str, average_m: int, current: int) -> Proposal:
    """An amount for each pod, in thousandths of a core, a byte, a GPU."""
    rule, target = RULES[resource], average_m / 1000
    try:
        want = by_average(
            _measured(inputs, resource),
            current=current,
            average_m=average_m,
            cpu=resource == "cpu",
            tolerance=policies.tolerance(inputs.policy),
            readiness=READINESS,
        )
    except NoMetricError as e:
        return Proposal(rule=rule, target=target, reason=str(e))
    said = f"the ready pods use {shown(want.usage / 1000)} each, {shown(target)} wanted"
    return proposal(rule, want, carried=want.usage / 1000, target=target, reason=said)


def proposal(
    rule: Rule, want: Want, *, carried: float, target: float, reason: str, name: str = ""
) -> Proposal:
    """What HPA v2 wants, as a proposal."""
    return Proposal(
        rule=rule,
        name=name,
        carried=carried,
        target=target,
        want=min(want.replicas, MOST_REPLICAS),
        reason=reason,
        ready_ratio=carried / target,
    )


def seen(pod: PodInput, metric_m: int | None = None, request_m: int | None = None) -> Pod:
    """A pod as HPA v2 sees it where its age does not count: for all but CPU."""
    return Pod(
        name=pod.name,
        phase=_PENDING if pod.phase is _TO_PLACE else _RUNNING,
        ready=pod.ready,
        request_m=request_m,
        metric_m=metric_m,
    )


def distinct(pods: Sequence[Pod]) -> Sequence[Pod]:
    """The same, where two clusters have pods of one name by different ones."""
    if len({pod.name for pod in pods}) == len(pods):
        return pods
    return [structs.replace(pod, name=f"{pod.name} ({number})") for number, pod in enumerate(pods)]


def _measured(inputs: Inputs, resource: str) -> Sequence[Pod]:
    why_not = cluster_unknown(inputs)
    if why_not is not None:
        raise NoMetricError(why_not)
    now = inputs.now
    if resource == "cpu":
        return distinct([_of_cpu(pod, now) for pod in inputs.pods])
    pods = _sized(inputs.pods) if resource == GPU_MEMORY else inputs.pods
    figures = _FIGURES[resource]
    found = []
    for pod in pods:
        amount, requested = figures(pod)
        known = pod.cpu_at is not None and now - pod.cpu_at <= _USE_STALE
        found.append(seen(pod, thousandths(amount) if known else None, _request_m(requested)))
    return distinct(found)


def _of_cpu(pod: PodInput, now: datetime) -> Pod:
    """With its ages, where they say whether its use is still that of its start.

    When its readiness changed last is known of the change to ready alone. A pod that was ready
    once and is not now is one whose figures count, as HPA v2 has it after the first half minute.
    """
    cpu_at, started_at, ready = pod.cpu_at, pod.started_at, pod.ready
    if cpu_at is None or now - cpu_at > _USE_STALE:
        return seen(pod, None, _request_m(pod.cpu_requested))
    phase = _PENDING if pod.phase is _TO_PLACE else _RUNNING
    if ready and (started_at is None or now - started_at >= _START):  # so are most
        return Pod(
            name=pod.name,
            phase=phase,
            ready=True,
            started_age_s=_LONG_AGO_S,
            request_m=_request_m(pod.cpu_requested),
            metric_m=thousandths(pod.cpu),
        )
    started_s = _LONG_AGO_S if started_at is None else age_s(started_at, now)
    became_s = started_s if pod.ready_at is None else age_s(pod.ready_at, now)
    return Pod(
        name=pod.name,
        phase=phase,
        ready=ready,
        started_age_s=started_s,
        transition_age_s=became_s if ready or pod.phase is not _SERVING else 0.0,
        request_m=_request_m(pod.cpu_requested),
        metric_m=thousandths(pod.cpu),
        metric_age_s=age_s(cpu_at, now),
        window_s=USE_WINDOW_S,
    )


def _sized(pods: Sequence[PodInput]) -> Sequence[PodInput]:
    """A GPU that is not measured has as much memory as the largest of the others."""
    each = [
        pod.gpu_memory_total_mb / pod.gpus_requested
        for pod in pods
        if pod.gpu_memory_total_mb is not UNSET and pod.gpus_requested
    ]
    if pods and not each:
        raise NoMetricError("no GPU's memory is known")
    return [
        structs.replace(pod, gpu_memory_total_mb=max(each) * pod.gpus_requested)
        if pod.gpu_memory_total_mb is UNSET
        else pod
        for pod in pods
    ]


def _memory(pod: PodInput) -> tuple[float | None, float]:
    used = None if pod.memory_mb is None else pod.memory_mb * _MEBI
    return used, float(pod.memory_requested_mb * _MEBI)


def _gpu(pod: PodInput) -> tuple[float | None, float]:
    used = None if pod.gpu is None else pod.gpu * pod.gpus_requested
    return used, float(pod.gpus_requested)


def _gpu_memory(pod: PodInput) -> tuple[float | None, float]:
    """Whoever has a GPU requests all of its memory."""
    return _bytes(pod.gpu_memory_mb), _bytes(pod.gpu_memory_total_mb) or 0.0


_FIGURES: Final = {"memory": _memory, "nvidia.com/gpu": _gpu, GPU_MEMORY: _gpu_memory}
"""What a pod uses of a resource, and what it requests."""


def _bytes(mebi: float | UnsetType) -> float | None:
    return None if mebi is UNSET else mebi * _MEBI


@lru_cache(maxsize=4096)
def _request_m(amount: float) -> int | None:
    """Kept, for most pods of all applications request one of a few amounts."""
    return thousandths(amount)


def thousandths(amount: float | None) -> int | None:
    """Whole thousandths; None where it can be no measurement."""
    if amount is None:
        return None
    amount_m = amount * 1000
    return round(amount_m) if 0 <= amount_m <= _MOST_M else None
