"""Whether what was done has shown up in the facts: nothing is decided on facts from before it."""

from midstage.contracts.cluster import Phase
from midstage.deploy.model import Action, DeleteWorkload, DrainPod, PutWorkload, Situation


def has_landed(action: Action, situation: Situation) -> bool:
    """Whether the facts are newer than the action, whoever changed the object."""
    match action:
        case PutWorkload():
            return _has_moved(situation, action.workload.name, action.expected)
        case DeleteWorkload():
            return _has_moved(situation, action.name, action.expected)
        case DrainPod():
            pod = next((pod for pod in situation.pods if pod.uid == action.uid), None)
            return pod is None or pod.phase is Phase.STOPPING or pod.draining == action.draining


def _has_moved(situation: Situation, name: str, expected: int) -> bool:
    workload = next((each for each in situation.workloads if each.name == name), None)
    version = workload.resource_version if workload else 0
    return version != expected
