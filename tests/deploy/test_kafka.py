"""The whole loop on a real Kafka: specified, rolled out, scaled down; kept over a restart."""

from pathlib import Path

import pytest

from midstage.eventlog.kafka import KafkaLog
from midstage.testkit.waiting import within
from tests.deploy.conftest import Neighbours, a_cluster, create, own_topics, running
from tests.deploy.test_process import POLICY, rollouts, scaled


@pytest.mark.platform
@pytest.mark.slow
def test_the_loop_on_kafka(kafka: str, tmp_path: Path) -> None:
    log = KafkaLog(bootstrap=kafka, client_id="test")
    around = Neighbours(log=log, read=own_topics(), cluster=a_cluster())
    create(log, around.read)
    with around.at_work():
        with running(log, around.cluster, tmp_path, read=around.read) as deploy:
            first = deploy.put("chat", "put-1", replicas=2, scaling=POLICY).json()
            assert first.get("outcome") == "created", first
            deploy.ready("chat", 2)
            scaled(around, 1, replicas=4)
            deploy.ready("chat", 4)
            deploy.put("chat", replicas=2, scaling=POLICY, command=["serve", "two"])
            deploy.ready("chat", 4)
        pods = {pod.name for pod in around.cluster.pods()}
        with running(log, around.cluster, tmp_path, read=around.read) as deploy:
            again = deploy.put("chat", "put-1", replicas=2, scaling=POLICY).json()
            assert (again["repeated"], again["version"]) == (True, 1)
            deploy.ready("chat", 4)
            assert {pod.name for pod in around.cluster.pods()} == pods
            scaled(around, 2, replicas=1)
            deploy.ready("chat", 1)
            within(60, lambda: len(around.cluster.pods()) == 1)
            assert {pod.name for pod in around.cluster.pods()} < pods
    assert rollouts(around) == ["started", "complete"] * 2
