"""Facts out: each to the cluster topic, and when it stands there, to the inventory.

In this order, so nothing is in the inventory that the stream does not have. Who dies in between
leaves the inventory behind, and whoever comes next finds the difference and writes it again.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from midstage.contracts import cluster
from midstage.contracts.cluster import ClusterFact, ObjectGone
from midstage.contracts.errors import UnavailableError
from midstage.contracts.fact import Event
from midstage.contracts.inventory import key_of_fact
from midstage.contracts.topics import Topic
from midstage.control.metrics import Metrics
from midstage.eventlog.codec import message
from midstage.eventlog.failpoint import Failpoint
from midstage.eventlog.log import Log, Message

SOURCE = "control"
_GLANCE_S = 0.5

TYPES: Final[Mapping[type[ClusterFact], str]] = {
    cluster.NodeObserved: cluster.NODE_OBSERVED,
    cluster.PodObserved: cluster.POD_OBSERVED,
    cluster.WorkloadObserved: cluster.WORKLOAD_OBSERVED,
    cluster.EndpointsObserved: cluster.ENDPOINTS_OBSERVED,
    cluster.ObjectGone: cluster.OBJECT_GONE,
    cluster.PodUsed: cluster.POD_USED,
    cluster.NodeUsed: cluster.NODE_USED,
    cluster.QuotaUsed: cluster.QUOTA_USED,
    cluster.ClusterReached: cluster.CLUSTER_REACHED,
    cluster.ClusterUnreachable: cluster.CLUSTER_UNREACHABLE,
}
MEASURES = (cluster.PodUsed, cluster.NodeUsed, cluster.QuotaUsed)
"""Only in the stream: old measurements are of no use to who starts."""


class Writing:
    """The writer of one cluster's facts, for one thread."""

    def __init__(
        self, *, log: Log, stream: Topic, inventory: Topic, metrics: Metrics, reached: Failpoint
    ) -> None:
        """Connect."""
        self._writer = log.writer()
        self._stream = stream.name
        self._inventory = inventory.name
        self._metrics = metrics
        self._reached = reached

    def write(self, facts: Sequence[ClusterFact], may_go_on: Callable[[], bool]) -> None:
        """Return when the stream has them and the inventory is on its way.

        UnavailableError where ``may_go_on`` said no before that: they may stand in the stream, and
        are not in the inventory.
        """
        if not facts:
            return
        events = [(key_of_fact(fact), _event(fact)) for fact in facts]
        self._reached("control:observed")
        for key, event in events:
            self._writer.send(_message(event, topic=self._stream, key=key))
        self._wait(may_go_on)
        self._reached("control:written")
        for key, event in events:
            if not isinstance(event.data, MEASURES):
                self._writer.send(_message(event, topic=self._inventory, key=key))
        for fact in facts:
            self._metrics.facts.labels(fact.cluster, type(fact).__name__).inc()

    def forget(self, facts: Sequence[ObjectGone], may_go_on: Callable[[], bool]) -> None:
        """Let compaction take what is gone out of the inventory; returns when it was told.

        UnavailableError where ``may_go_on`` said no before that: it is told again.
        """
        for fact in facts:
            key = key_of_fact(fact).encode()
            self._writer.send(Message(topic=self._inventory, key=key, value=None))
        self._wait(may_go_on)

    def close(self) -> None:
        """Let go of the log when it has what was sent."""
        self._writer.close()

    def _wait(self, may_go_on: Callable[[], bool]) -> None:
        while self._writer.flush(_GLANCE_S):
            if not may_go_on():
                raise UnavailableError("the log did not take the facts in time")


def _event(fact: ClusterFact) -> Event[ClusterFact]:
    return Event(
        id=uuid.uuid4().hex,
        source=f"{SOURCE}/{fact.cluster}",
        type=TYPES[type(fact)],
        time=fact.observed_at,
        subject=key_of_fact(fact),
        data=fact,
    )


def _message(event: Event[ClusterFact], *, topic: str, key: str) -> Message:
    return message(event, topic=topic, key=key)
