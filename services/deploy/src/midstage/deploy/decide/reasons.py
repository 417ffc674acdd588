"""Why replicas are not ready, in the words of whoever knows: the scheduler, the probe, the program.

The gravest reason is told: a crash before a write that the cluster refused, that before pods that
it does not make (quota, admission), a missing node before an image that does not come, that before
a secret that is not there, that before a probe that does not pass.
"""

from collections.abc import Sequence

from midstage.contracts.cluster import Phase, PodObserved
from midstage.deploy.decide.fleet import UNSCHEDULABLE, Fleet
from midstage.deploy.decide.references import missing
from midstage.deploy.model import Situation

CRASHES = 3
"""So many restarts without getting ready are a crash loop."""

_CRASH = "crash: "
_LONGEST = 2000


def trouble(pods: Sequence[PodObserved]) -> str:
    """Why not all of the pods are ready; empty where they are, or are starting as they should."""
    waiting = [pod for pod in pods if not pod.ready and pod.phase is not Phase.STOPPING]
    for told in (_crash, _no_room, _image, _config, _lost, _probe):
        said = next((words for pod in waiting if (words := told(pod))), "")
        if said:
            return said
    return ""


def amiss(situation: Situation, fleet: Fleet) -> str:
    """What keeps the wanted revision from being whole; empty where nothing is known to."""
    pods = [pod for pod in fleet.new_pods if not pod.draining]
    said = trouble(pods)
    if said.startswith(_CRASH):
        return said
    absent = missing(situation)
    gone = f"missing: {', '.join(absent)}" if absent else ""
    return refused(situation) or not_made(fleet) or said or gone


def refused(situation: Situation) -> str:
    """The cluster's words where it refused our write; empty where it did not."""
    refusal = situation.refusal
    return f"refused by the cluster: {_cut(refusal.words)}" if refusal is not None else ""


def not_made(fleet: Fleet) -> str:
    """Why the cluster makes no pods of the wanted revision, in its own words; else empty."""
    said = fleet.new.workload.reason if fleet.new else ""
    return f"no pods are made: {_cut(said)}" if said else ""


def crash_loop(pods: Sequence[PodObserved]) -> str:
    """What the first pod of a crash loop says; empty where there is none."""
    looping = (pod for pod in pods if not pod.ready and pod.restarts >= CRASHES)
    return next((words for pod in looping if (words := _crash(pod))), "")


def crashed_often(pods: Sequence[PodObserved]) -> bool:
    """Whether one of the pods has been in a crash loop, ready now or not."""
    return any(pod.restarts >= CRASHES for pod in pods)


def _crash(pod: PodObserved) -> str:
    if pod.exit_code is None or pod.phase not in (Phase.BACKOFF, Phase.STARTING):
        return ""
    told = f": {_cut(pod.message)}" if pod.message else ""
    return f"{_CRASH}{pod.name}, restarts {pod.restarts}, exit code {pod.exit_code}{told}"


def _no_room(pod: PodObserved) -> str:
    if pod.phase is not Phase.PENDING or pod.reason != UNSCHEDULABLE:
        return ""
    return f"no room: {_cut(pod.message)}"


def _image(pod: PodObserved) -> str:
    if "Image" not in pod.reason:
        return ""
    return f"image pull: {pod.name}: {pod.reason}: {_cut(pod.message)}"


def _config(pod: PodObserved) -> str:
    is_so = pod.reason.startswith("CreateContainer") and pod.reason != "CreateContainer"
    return f"can't start: {pod.name}: {pod.reason}: {_cut(pod.message)}" if is_so else ""


def _lost(pod: PodObserved) -> str:
    return f"lost: {pod.name}: {_cut(pod.message)}" if pod.phase is Phase.LOST else ""


def _probe(pod: PodObserved) -> str:
    """A pod that was ready and is not, or one whose probe has said why it is not yet."""
    if pod.phase is Phase.RUNNING:
        return f"probe not passing: {pod.name}: {_cut(pod.message) or 'it was ready before'}"
    is_asked = pod.phase is Phase.STARTING and pod.message
    return f"probe not passing: {pod.name}: {_cut(pod.message)}" if is_asked else ""


def _cut(text: str) -> str:
    """The end of what was said: the last lines are what matters."""
    return text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"
