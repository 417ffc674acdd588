"""The changes of a cluster in order, as many as are kept. Pure; for one thread at a time.

Each change has its own version, one more than the last, so a watch from any version on misses
nothing and sees nothing twice; whoever asks for what is kept no longer has to list again.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice

import msgspec

from midstage.cluster.objects import Change, Node, Pod, Workload
from midstage.cluster.protocol import ExpiredError

KEEP = 10_000


class History:
    """Versions from ``begin`` on; ``version`` is that of the newest change."""

    def __init__(self, *, begin: int = 0, keep: int = KEEP) -> None:
        """Nothing has changed since ``begin``; the newest ``keep`` changes are remembered."""
        self.version = begin
        self._begin = begin
        self._changes: deque[Change] = deque(maxlen=keep)

    def wrote(
        self,
        *,
        node: Node | None = None,
        pod: Pod | None = None,
        workload: Workload | None = None,
        gone: bool = False,
    ) -> Change:
        """Remember the one object given, with the next version in it."""
        self.version += 1
        version = self.version
        change = Change(
            resource_version=version,
            gone=gone,
            node=node and msgspec.structs.replace(node, resource_version=version),
            pod=pod and msgspec.structs.replace(pod, resource_version=version),
            workload=workload and msgspec.structs.replace(workload, resource_version=version),
        )
        self._changes.append(change)
        return change

    def after(self, since: int) -> Sequence[Change]:
        """The changes after version ``since``, in order; ExpiredError where they are not kept."""
        oldest = self.version - len(self._changes)
        if since < oldest or since < self._begin or since > self.version:
            raise ExpiredError(
                f"resource version {since} is not between {oldest} and {self.version}: list again"
            )
        return tuple(islice(self._changes, since - oldest, None))

    def forget(self) -> None:
        """Remember none of the changes so far."""
        self._changes.clear()
