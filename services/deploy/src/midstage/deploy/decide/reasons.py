"""Why replicas are not ready, in the words of whoever knows: the scheduler, the probe, the program.

The gravest reason is told: a crash before a missing node, a missing node before an image that does
not come, that before a probe that does not pass.
"""

from collections.abc import Sequence

from midstage.contracts.cluster import Phase, PodObserved
from midstage.deploy.decide.fleet import UNSCHEDULABLE

CRASHES = 3
"""So many restarts without getting ready are a crash loop."""

_LONGEST = 2000


def trouble(pods: Sequence[PodObserved]) -> str:
    """Why not all of the pods are ready; empty where they are, or are starting as they should."""
    waiting = [pod for pod in pods if not pod.ready and pod.phase is not Phase.STOPPING]
    for told in (_crash, _no_room, _image, _lost, _probe):
        said = next((words for pod in waiting if (words := told(pod))), "")
        if said:
            return said
    return ""


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
    return f"crash: {pod.name}, restarts {pod.restarts}, exit code {pod.exit_code}{told}"


def _no_room(pod: PodObserved) -> str:
    if pod.phase is not Phase.PENDING or pod.reason != UNSCHEDULABLE:
        return ""
    return f"no room: {_cut(pod.message)}"


def _image(pod: PodObserved) -> str:
    return f"image pull: {pod.name}: {_cut(pod.message)}" if "Image" in pod.reason else ""


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
