"""Facts of pods and specs into a real Envoy: who gets requests, and what is said of it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from midstage.contracts.apps import revision_of
from midstage.contracts.cluster import (
    CLUSTER_UNREACHABLE,
    ClusterUnreachable,
    Kind,
    key_of,
)
from midstage.contracts.fact import Event
from midstage.contracts.routes import Way
from midstage.contracts.topics import CLUSTER
from midstage.eventlog.codec import message
from midstage.testkit.waiting import within

from .conftest import DEADLINE_S
from .deployment import NOON, gateway, pod, spec
from .story import Story, told

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture
def story(tmp_path: Path, envoy_binary: Path) -> Iterator[Story]:
    with told(tmp_path, envoy_binary) as story:
        yield story


def test_a_mark_and_its_taking_back_reach_envoy(story: Story) -> None:
    replica, other = story.replica(), story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port), pod("q", port=other.port))
    with story.gateway():
        story.envoy()
        story.facts.await_ways(p=Way.SERVING, q=Way.SERVING)
        for draining in (True, False) * 4:
            story.facts.drained("p", draining=draining)
            within(DEADLINE_S, lambda: story.draining(replica.port) is draining)  # noqa: B023


def test_a_pod_whose_readiness_fails_is_out_and_comes_back(story: Story) -> None:
    replica, other = story.replica(), story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port), pod("q", port=other.port))
    with story.gateway():
        story.envoy()
        story.facts.await_ways(p=Way.SERVING, q=Way.SERVING)
        story.facts.observed(pod("p", port=replica.port, ready=False))
        story.facts.await_ways(p=Way.DRAINING, q=Way.SERVING)
        before = len(replica.asked)
        assert story.statuses(20) == {200}
        assert len(replica.asked) == before

        story.facts.observed(pod("p", port=replica.port))
        story.facts.await_ways(p=Way.SERVING, q=Way.SERVING)
        within(DEADLINE_S, lambda: story.statuses(1) == {200} and len(replica.asked) > before)


def test_a_bad_application_is_refused_alone(story: Story) -> None:
    replica = story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    at = NOON.isoformat()
    bad = {"fact": "AppSpecified", "app": "bad", "at": at, "revision": "r"}
    story.facts.raw("bad", [{**bad, "spec": {"routes": {"prefix": "no slash"}}}])
    story.facts.raw("odd", [{"fact": "FromTheFuture", "app": "odd", "at": at}])
    story.facts.raw("chat\n", [{**bad, "app": "chat\n", "spec": {"routes": {"prefix": "/x\n"}}}])
    story.facts.specified("twice", spec("/chat"))
    with story.gateway() as gateway:
        story.envoy()
        story.await_serving("p")
        assert story.statuses(3) == {200}
        shown = gateway.routing.shown()
        metrics = generate_latest(gateway.metrics.registry).decode()

    assert {one["app"] for one in shown["refused"]} == {"bad", "odd", "chat\n", "twice"}
    assert "midstage_gateway_refused_apps 4.0" in metrics
    assert {one["app"]: one["prefix"] for one in shown["apps"]} == {"chat": "/chat", "twice": ""}


def test_the_file_s_applications_stand_beside_the_log_s(story: Story, tmp_path: Path) -> None:
    mine, theirs = story.replica(), story.replica()
    file = tmp_path / "mine.json"
    file.write_text(
        json.dumps(
            {
                "apps": [
                    {"name": "mine", "prefix": "/mine", "endpoints": [f"127.0.0.1:{mine.port}"]},
                    {"name": "thief", "prefix": "/chat", "endpoints": [f"127.0.0.1:{mine.port}"]},
                ]
            }
        )
    )
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=theirs.port))
    with story.gateway(apps_file=file) as gateway:
        story.envoy()
        story.facts.await_ways(p=Way.SERVING)
        story.edge.settled("mine", 1)
        assert story.edge.get("/mine/v1/a").status_code == 200
        assert story.edge.get("/chat/v1/b").status_code == 200
        assert [asked.path for asked in mine.asked] == ["/v1/a"]
        assert [one["app"] for one in gateway.routing.shown()["refused"]] == ["thief"]
        file.write_text("{")
        story.facts.observed(pod("q", port=theirs.port))
        story.facts.await_ways(q=Way.SERVING)  # a faulty file holds up no fact
        assert story.edge.get("/mine/v1/a").status_code == 200


def test_envoy_asks_for_the_readiness_that_the_spec_names(story: Story) -> None:
    replica = story.replica()
    replica.on("/health", lambda asked, answering: answering.plain(b"{}", status="503 No"))
    wanted = spec("/chat", ready="/health")
    story.facts.specified("chat", wanted)
    story.facts.observed(pod("p", port=replica.port, revision=revision_of(wanted)))
    with story.gateway():
        story.envoy()
        within(DEADLINE_S, lambda: "/health" in {asked.path for asked in replica.asked})
        assert story.statuses(2) == {503}
        replica.on("/health", lambda asked, answering: answering.plain(b"{}"))
        story.await_serving("p")
        assert story.statuses(2) == {200}


def test_a_gateway_that_starts_without_the_log_leaves_envoy_what_it_has(story: Story) -> None:
    replica = story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with story.gateway():
        story.envoy()
        story.facts.await_ways(p=Way.SERVING)
    files = {file.name: file.read_bytes() for file in story.edge.config_dir.iterdir()}
    story.facts.log.cut()
    with gateway(story.edge, story.facts.log) as blind:
        within(DEADLINE_S, lambda: blind.routing.deployments.specs_progress() is not None)
        waited = time.monotonic()
        within(DEADLINE_S, lambda: time.monotonic() - waited > 3.5)  # longer than it waits alone
        assert blind.routing.configuration.told is None
        assert blind.routing.configuration.progress()
        assert story.statuses(3) == {200}
        now = {file.name: file.read_bytes() for file in story.edge.config_dir.iterdir()}
        assert now == files
        story.facts.log.mend()
        within(DEADLINE_S, lambda: blind.routing.configuration.told is not None)
        assert story.statuses(3) == {200}


def test_a_cluster_that_can_t_be_reached_changes_nothing(story: Story) -> None:
    replica = story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with story.gateway():
        story.envoy()
        story.facts.await_ways(p=Way.SERVING)
        fact = ClusterUnreachable(
            cluster="local",
            name="local",
            epoch=1,
            observed_at=NOON,
            since=NOON,
            reason="it is away",
        )
        event = Event(
            id="away", source="control/local", type=CLUSTER_UNREACHABLE, time=NOON, data=fact
        )
        key = key_of(cluster="local", kind=Kind.CLUSTER, namespace="", name="local")
        writer = story.facts.log.writer()
        writer.send(message(event, topic=CLUSTER.name, key=key))
        writer.close()
        story.facts.specified("code", spec("/code"))  # the log goes on meanwhile
        within(DEADLINE_S, lambda: story.edge.get("/code/x").status_code == 503)
        assert story.statuses(5) == {200}
        assert story.facts.ways() == {"p": Way.SERVING}
