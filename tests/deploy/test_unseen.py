"""What the log tells of a cluster comes in parts, in any order: no part of it refuses anybody."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from midstage.contracts.cluster import CLUSTER_REACHED, NODE_OBSERVED, ClusterFact, ClusterReached
from midstage.contracts.fact import Event
from midstage.contracts.inventory import key_of_fact
from midstage.contracts.topics import Topic
from midstage.deploy.main import Topics
from midstage.eventlog.codec import message
from midstage.eventlog.log import Message, Partition, Record
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.testkit.waiting import within
from tests.deploy.conftest import CLUSTER, a_cluster, create, running
from tests.deploy.facts import node, observed_node

pytestmark = pytest.mark.slow


class Behind(MemoryLog):
    """Its readers get nothing of one partition before somebody asks which its topic has."""

    behind: Partition | None = None

    def partitions(self, topic: str) -> Sequence[Partition]:
        with self.changed:
            if self.behind is not None and self.behind.topic == topic:
                self.behind = None
                self.changed.notify_all()
        return super().partitions(topic)

    def read(self, place: Partition, at: int, most: int) -> Sequence[Record]:
        return () if place == self.behind else super().read(place, at, most)


def test_a_spec_is_not_refused_before_all_nodes_that_the_log_tells_of_are_seen(
    tmp_path: Path,
) -> None:
    log, read, cluster = Behind(), Topics(), a_cluster()
    create(log, read)
    now = datetime.now(UTC)
    known = observed_node(node("node-1", cpu=16), CLUSTER)
    answers = ClusterReached(cluster=CLUSTER, name=CLUSTER, epoch=1, observed_at=now)
    with running(log, cluster, tmp_path, read=read, wait=False) as deploy:

        def reasons() -> list[str]:
            return list(deploy.http.get("/readyz").json().get("reasons", {}))

        within(60, lambda: reasons() == ["cluster"])  # all else has been read by then
        number = partition_of(key_of_fact(known).encode(), read.cluster.partitions)
        log.behind = Partition(topic=read.cluster.name, number=number)
        writer = log.writer()
        writer.send(_said(read.cluster, NODE_OBSERVED, known))
        assert writer.flush(60) == 0
        writer.send(_said(read.cluster, CLUSTER_REACHED, answers))
        writer.close()
        within(60, lambda: deploy.http.get("/readyz").is_success)
        done = deploy.put("chat")
        assert done.is_success, done.text
        assert (done.json()["outcome"], done.json()["rollout"]) == ("created", "first")


def _said(topic: Topic, type_: str, fact: ClusterFact) -> Message:
    event = Event(id=type_, source="test", type=type_, time=datetime.now(UTC), data=fact)
    return message(event, topic=topic.name, key=key_of_fact(fact))
