"""On which node each pod runs, as far as it was listed or watched: the metrics API doesn't say."""

import time
from collections.abc import Callable, Iterable, Mapping

from midstage.cluster.objects import Change, Pod

Key = tuple[str, str]
"""Namespace and name."""
_ASKED_EACH_S = 10.0


class Places:
    """Kept by whoever lists and watches; ``ask`` lists all pods where one is not known."""

    def __init__(self, ask: Callable[[], Iterable[Pod]]) -> None:
        """Know of no pod yet."""
        self._ask = ask
        self._nodes: dict[Key, str] = {}
        self._asked_at: float | None = None

    def listed(self, pods: Iterable[Pod]) -> None:
        """These are all pods."""
        self._nodes = {(pod.namespace, pod.name): pod.node for pod in pods if pod.node}
        self._asked_at = time.monotonic()

    def changed(self, change: Change) -> None:
        """Something has changed, perhaps a pod."""
        pod = change.pod
        if pod is None:
            return
        if change.gone:
            self._nodes.pop((pod.namespace, pod.name), None)
        elif pod.node:
            self._nodes[pod.namespace, pod.name] = pod.node

    def of(self, keys: Iterable[Key]) -> Mapping[Key, str]:
        """The nodes of those that are known; asks for all pods at most each 10 s."""
        nodes = self._nodes
        stale = self._asked_at is None or time.monotonic() - self._asked_at > _ASKED_EACH_S
        if stale and any(key not in nodes for key in keys):
            self.listed(self._ask())
        return self._nodes
