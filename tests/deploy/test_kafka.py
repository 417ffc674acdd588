"""The whole loop on a real Kafka: specified, rolled out, scaled down; kept over a restart."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from midstage.testkit.waiting import within
from tests import patient
from tests.deploy.conftest import Neighbours, Running, a_cluster, create, own_topics, running
from tests.deploy.test_process import POLICY, rollouts, scaled
from tests.kafka import kafka_log


@pytest.mark.platform
@pytest.mark.slow
def test_the_loop_on_kafka(kafka: str, tmp_path: Path) -> None:
    log = kafka_log(kafka)
    around = Neighbours(log=log, read=own_topics(), cluster=a_cluster())
    create(log, around.read)
    with around.at_work():
        with running(log, around.cluster, tmp_path, read=around.read) as deploy:
            first = put(deploy, "put-1")
            assert first["outcome"] == "created"
            deploy.ready("chat", 2)
            scaled(around, 1, replicas=4)
            deploy.ready("chat", 4)
            put(deploy, "put-2", command=["serve", "two"])
            deploy.ready("chat", 4)
        pods = {pod.name for pod in around.cluster.pods()}
        with running(log, around.cluster, tmp_path, read=around.read) as deploy:
            again = put(deploy, "put-1")
            assert (again["repeated"], again["version"]) == (True, 1)
            deploy.ready("chat", 4)
            assert {pod.name for pod in around.cluster.pods()} == pods
            scaled(around, 2, replicas=1)
            deploy.ready("chat", 1)
            within(60, lambda: len(around.cluster.pods()) == 1)
            assert {pod.name for pod in around.cluster.pods()} < pods
    assert rollouts(around) == ["started", "complete"] * 2


def put(deploy: Running, command_id: str, **changed: object) -> Mapping[str, object]:
    """What became of it."""
    terms = {"replicas": 2, "scaling": POLICY, **changed}
    answer = patient.answered(lambda: deploy.put("chat", command_id, **terms))
    assert answer.is_success, answer.text
    said: Mapping[str, object] = answer.json()
    return said
