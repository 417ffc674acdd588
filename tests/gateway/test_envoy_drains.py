"""Pods that end, at a real Envoy: nothing new goes there, what is open ends, then it is said."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from midstage.contracts.apps import revision_of
from midstage.contracts.cluster import (
    Phase,
)
from midstage.contracts.requests import Outcome
from midstage.contracts.routes import Way
from midstage.testkit.waiting import within
from tests import patient

from .conftest import ACME, DEADLINE_S
from .deployment import R1, pod, spec
from .replica import Answering, Asked
from .story import Story, held, told

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture
def story(tmp_path: Path, envoy_binary: Path) -> Iterator[Story]:
    with told(tmp_path, envoy_binary) as story:
        yield story


def test_a_pod_from_ready_to_gone(story: Story) -> None:
    release = threading.Event()
    first, second = story.replica(), story.replica()
    first.on("/v1/slow", held(release))
    story.facts.specified("chat", spec("/chat"))
    with story.gateway():
        story.envoy()
        assert story.statuses(3) == {503}  # no pod yet

        starting = pod("first", port=first.port, ready=False, phase=Phase.STARTING, was_ready=False)
        story.facts.observed(starting)
        story.facts.observed(pod("second", port=second.port))
        story.await_serving("second")
        assert story.statuses(5) == {200}
        assert first.asked == []

        story.facts.observed(pod("first", port=first.port))
        story.facts.await_ways(first=Way.SERVING, second=Way.SERVING)
        within(DEADLINE_S, lambda: story.statuses(1) == {200} and first.asked)

        story.facts.drained("second")
        story.facts.await_ways(first=Way.SERVING, second=Way.DRAINED)
        with ThreadPoolExecutor(1) as callers:
            slow = callers.submit(story.slow)
            within(DEADLINE_S, lambda: "/v1/slow" in {asked.path for asked in first.asked})
            story.facts.drained("second", draining=False)
            story.facts.await_ways(first=Way.SERVING, second=Way.SERVING)
            marked = story.facts.drained("first")
            within(DEADLINE_S, lambda: story.draining(first.port))
            # it is said a moment later, and by then each worker has heard of it, too
            within(DEADLINE_S, lambda: story.facts.ways()["first"] is Way.DRAINING)
            before = len(first.asked)
            assert story.statuses(40) == {200}
            assert len(first.asked) == before
            within(DEADLINE_S, lambda: story.facts.endpoints("chat")["first"].active == 1)
            assert story.facts.ways()["first"] is Way.DRAINING
            release.set()
            assert slow.result().text == "data: one\n\ndata: two\n\n"
        story.facts.await_ways(first=Way.DRAINED, second=Way.SERVING)
        newest = story.facts.endpoints("chat")["first"]
        assert (newest.active, newest.resource_version, newest.cluster) == (0, marked, "local")

        story.facts.gone("first")
        story.facts.await_ways(second=Way.SERVING)
        assert story.statuses(5) == {200}
        data = story.edge.event("slow").data
        assert (data.outcome, data.pod, data.revision, data.cluster) == (
            Outcome.OK,
            "first",
            R1,
            "local",
        )


def test_when_all_drain_nobody_serves(story: Story) -> None:
    replica = story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with story.gateway():
        story.envoy()
        story.facts.await_ways(p=Way.SERVING)
        story.facts.drained("p")
        story.facts.await_ways(p=Way.DRAINED)
        before = len(replica.asked)
        assert story.statuses(10) == {503}
        assert len(replica.asked) == before


def test_one_replica_after_another_without_a_gap(story: Story) -> None:
    """Each next one is ready in the moment in which the one before is marked."""
    stop = threading.Event()

    def calls() -> list[int]:
        with patient.client(headers=ACME) as client:
            url = story.edge.url("/chat/v1/x")
            return [client.get(url).status_code for _ in iter(stop.is_set, True)]

    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p0", port=story.replica().port))
    with story.gateway(), ThreadPoolExecutor(2) as callers:
        story.envoy()
        story.await_serving("p0")
        try:
            asked = [callers.submit(calls) for _ in range(2)]
            for turn in range(5):
                story.facts.observed(pod(f"p{turn + 1}", port=story.replica().port))
                story.facts.drained(f"p{turn}")
                ways = {f"p{turn}": Way.DRAINED, f"p{turn + 1}": Way.SERVING}
                within(DEADLINE_S, lambda: story.facts.ways() == ways)  # noqa: B023
                story.facts.gone(f"p{turn}")
        finally:
            stop.set()

    assert {status for one in asked for status in one.result()} == {200}


def test_an_update_to_another_readiness_path_takes_nobody_away(story: Story) -> None:
    def refuses(asked: Asked, answering: Answering) -> None:
        answering.plain(b"{}", status="503 No")

    release = threading.Event()
    old, new = story.replica(), story.replica()
    old.on("/v1/slow", held(release))
    old.on("/other", refuses)
    new.on("/health", refuses)
    before, after = spec("/chat", ready="/health"), spec("/chat", ready="/other")
    story.facts.specified("chat", before)
    story.facts.observed(pod("old", port=old.port, revision=revision_of(before)))
    with story.gateway(), ThreadPoolExecutor(1) as callers:
        story.envoy()
        story.await_serving("old")
        slow = callers.submit(story.slow)
        within(DEADLINE_S, lambda: "/v1/slow" in {asked.path for asked in old.asked})
        story.facts.specified("chat", after)
        story.facts.observed(pod("new", port=new.port, revision=revision_of(after)))
        story.facts.await_ways(old=Way.SERVING, new=Way.SERVING)
        assert story.statuses(20) == {200}
        story.facts.drained("old")
        within(DEADLINE_S, lambda: story.draining(old.port))
        said = len(story.facts.said("chat"))
        within(DEADLINE_S, lambda: len(story.facts.said("chat")) > said + 1)
        assert story.facts.endpoints("chat")["old"].active == 1  # it is still in sight
        assert story.facts.ways() == {"old": Way.DRAINING, "new": Way.SERVING}
        release.set()
        assert slow.result().is_success
        story.facts.await_ways(old=Way.DRAINED, new=Way.SERVING)


@pytest.mark.parametrize("place", ["configuration:written", "routes:written"])
def test_a_gateway_that_dies_while_a_pod_drains(story: Story, place: str) -> None:
    class DeadError(Exception):
        """As if the process were killed here."""

    release, armed = threading.Event(), threading.Event()

    def dies(reached: str) -> None:
        if armed.is_set() and reached == place:
            raise DeadError

    replica, other = story.replica(), story.replica()
    replica.on("/v1/slow", held(release))
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with ThreadPoolExecutor(1) as callers, story.gateway(reached=dies) as first:
        story.envoy()
        story.await_serving("p")
        slow = callers.submit(story.slow)
        within(DEADLINE_S, lambda: "/v1/slow" in {asked.path for asked in replica.asked})
        story.facts.observed(pod("q", port=other.port))
        story.facts.await_ways(p=Way.SERVING, q=Way.SERVING)
        armed.set()
        story.facts.drained("p")
        within(DEADLINE_S, lambda: story.draining(replica.port))
        first.dies_of(DeadError)
        before = (story.edge.config_dir / "eds-chat.json").read_bytes()
        with story.gateway():
            story.facts.await_ways(p=Way.DRAINING, q=Way.SERVING)
            assert (story.edge.config_dir / "eds-chat.json").read_bytes() == before
            assert story.statuses(10) == {200}
            release.set()
            assert slow.result().is_success
            story.facts.await_ways(p=Way.DRAINED, q=Way.SERVING)


def test_an_application_that_is_removed_drains_and_then_is_gone(story: Story) -> None:
    release = threading.Event()
    replica = story.replica()
    replica.on("/v1/slow", held(release))
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with story.gateway(), ThreadPoolExecutor(1) as callers:
        story.envoy()
        story.await_serving("p")
        slow = callers.submit(story.slow)
        within(DEADLINE_S, lambda: "/v1/slow" in {asked.path for asked in replica.asked})
        story.facts.removed("chat")
        within(DEADLINE_S, lambda: story.edge.get("/chat/v1/x").status_code == 404)
        story.facts.drained("p")
        story.facts.await_ways(p=Way.DRAINING)
        release.set()
        assert slow.result().text == "data: one\n\ndata: two\n\n"
        story.facts.await_ways(p=Way.DRAINED)
        story.facts.gone("p")
        story.facts.await_ways()
        within(
            DEADLINE_S,
            lambda: not [key for key in story.edge.admin.seen().hosts if key[0] == "chat"],
        )


def test_while_envoy_is_away_nothing_is_drained(story: Story) -> None:
    replica = story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with story.gateway() as gateway:
        story.envoy()
        story.facts.await_ways(p=Way.SERVING)
        story.edge.kill()
        within(DEADLINE_S, lambda: gateway.routing.routes.look is None)
        said = len(story.facts.said("chat"))
        story.facts.drained("p")
        within(
            DEADLINE_S,
            lambda: b"DRAINING" in (story.edge.config_dir / "eds-chat.json").read_bytes(),
        )
        assert len(story.facts.said("chat")) == said
        story.edge.start()
        story.facts.await_ways(p=Way.DRAINED)


def test_hundreds_of_requests_while_replicas_flap(story: Story) -> None:
    replicas = [story.replica() for _ in range(3)]
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(*(pod(f"p{n}", port=one.port) for n, one in enumerate(replicas)))
    stop = threading.Event()

    def calls(number: int) -> list[int]:
        statuses = []
        with patient.client(headers=ACME) as client:
            while not stop.is_set():
                statuses.append(client.get(story.edge.url("/chat/v1/x")).status_code)
        return statuses

    with story.gateway(), ThreadPoolExecutor(4) as callers:
        story.envoy()
        story.await_serving("p0", "p1", "p2")
        try:
            asked = [callers.submit(calls, number) for number in range(4)]
            for turn in range(24):
                name = f"p{turn % 3}"
                replica = replicas[turn % 3]
                story.facts.drained(name)
                within(DEADLINE_S, lambda: story.draining(replica.port), every=0.01)  # noqa: B023
                if turn % 6 == 0:
                    within(DEADLINE_S, lambda: story.facts.ways()[name] is Way.DRAINED)  # noqa: B023
                story.facts.drained(name, draining=False)
        finally:
            stop.set()
        statuses = [status for one in asked for status in one.result()]
        story.facts.await_ways(p0=Way.SERVING, p1=Way.SERVING, p2=Way.SERVING)

    assert len(statuses) >= 300
    assert set(statuses) == {200}
