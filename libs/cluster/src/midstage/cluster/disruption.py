"""Whether a pod may be evicted now, as Kubernetes' disruption controller decides it. Pure.

An application without a budget may lose any pod. With one, so many of its replicas as it names may
be away at once: a ready pod goes only while the others are enough, and one that is not ready only
while enough are ready; a pod on no node yet costs nothing.
"""

from collections.abc import Iterable

from midstage.cluster.objects import Pod, Workload
from midstage.contracts.cluster import Phase


def refusal(pod: Pod, pods: Iterable[Pod], workloads: Iterable[Workload]) -> str:
    """Why the pod has to stay for now; empty: it may go."""
    own = [each for each in workloads if each.app == pod.app]
    budget = min((each.disruption.max_unavailable for each in own if each.disruption), default=None)
    if budget is None or pod.phase is Phase.PENDING:
        return ""
    wanted = sum(each.replicas for each in own)
    there = [each for each in pods if each.app == pod.app and each.phase is not Phase.STOPPING]
    healthy = sum(each.ready for each in there)
    left = healthy - 1 if pod.ready else healthy
    if left >= wanted - budget:
        return ""
    return f"{pod.app} has {healthy} of {wanted} ready, and at most {budget} may be away"
