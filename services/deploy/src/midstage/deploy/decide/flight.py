"""Whether what was done has shown up in the facts: nothing is decided on facts from before it.

A workload's version also grows with what the cluster counts of it, so a write has shown up only in
a fact that is at least as new as its answer.
"""

from midstage.contracts.cluster import Phase
from midstage.deploy.decide.room import is_living
from midstage.deploy.model import (
    Action,
    AdoptPods,
    DeleteWorkload,
    DrainPod,
    PutWorkload,
    ScaleWorkload,
    Situation,
)


def has_landed(action: Action, situation: Situation, *, version: int) -> bool:
    """Whether the facts are newer than the action, whoever changed the object.

    ``version`` is the workload's in the answer; 0: none came.
    """
    match action:
        case PutWorkload(workload=workload):
            seen = _version(situation, workload.name)
            return seen >= version if version else seen != action.expected
        case ScaleWorkload():
            seen = _version(situation, action.name)
            return seen >= version if version else seen != action.expected
        case AdoptPods():
            own = (pod for pod in situation.pods if pod.workload == action.name)
            pods = [pod for pod in own if is_living(pod)]
            return len(pods) >= action.replicas or not _version(situation, action.name)
        case DeleteWorkload():
            return _version(situation, action.name) != action.expected
        case DrainPod():
            pod = next((pod for pod in situation.pods if pod.uid == action.uid), None)
            return pod is None or pod.phase is Phase.STOPPING or pod.draining == action.draining


def _version(situation: Situation, name: str) -> int:
    workload = next((each for each in situation.workloads if each.name == name), None)
    return workload.resource_version if workload else 0
