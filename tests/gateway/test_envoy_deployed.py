"""Facts of pods and specs into a real Envoy: who gets requests, who finishes, what is said."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import generate_latest

from midstage.contracts.apps import revision_of
from midstage.contracts.cluster import (
    CLUSTER_UNREACHABLE,
    ClusterUnreachable,
    Kind,
    Phase,
    key_of,
)
from midstage.contracts.fact import Event
from midstage.contracts.requests import Outcome
from midstage.contracts.routes import Way
from midstage.contracts.topics import CLUSTER
from midstage.eventlog.codec import message
from midstage.gateway.model.apps import Endpoint
from midstage.testkit.waiting import within

from .conftest import ACME, DEADLINE_S, Edge, free_port
from .deployment import NOON, R1, Facts, Gateway, gateway, pod, spec
from .replica import Answering, Asked, Replica, running

pytestmark = [pytest.mark.platform, pytest.mark.slow]


PATIENT_S = 60.0
"""A caller that waits for as long as a story takes."""


class Story:
    """An Envoy, the facts it lives on, and a gateway between them."""

    def __init__(self, edge: Edge, stack: ExitStack) -> None:
        self.edge = edge
        self.facts = Facts()
        self._stack = stack

    @contextmanager
    def gateway(self, **asked: object) -> Iterator[Gateway]:
        with gateway(self.edge, self.facts.log, **asked) as one:  # type: ignore[arg-type]  # as it takes them
            within(DEADLINE_S, lambda: one.routing.configuration.told is not None)
            yield one

    def replica(self, port: int = 0) -> Replica:
        return self._stack.enter_context(running(port))

    def envoy(self) -> None:
        """Start Envoy, on the files that gateway wrote."""
        self.edge.start()
        self._stack.callback(self.edge.stop)

    def statuses(self, count: int, path: str = "/chat/v1/x") -> set[int]:
        with httpx.Client(headers=ACME, timeout=DEADLINE_S) as client:
            return {client.get(self.edge.url(path)).status_code for _ in range(count)}

    def slow(self) -> httpx.Response:
        """A stream that ends when the replica lets it."""
        headers = {**ACME, "x-midstage-ref": "slow"}
        return httpx.get(self.edge.url("/chat/v1/slow"), headers=headers, timeout=PATIENT_S)

    def draining(self, port: int, app: str = "chat") -> bool:
        """Whether Envoy shows it so."""
        host = self.edge.admin.seen().hosts.get((app, Endpoint(host="127.0.0.1", port=port)))
        return host is not None and host.draining


@pytest.fixture
def story(tmp_path: Path, envoy_binary: Path) -> Iterator[Story]:
    edge = Edge(root=tmp_path, binary=envoy_binary, port=free_port(), admin_port=free_port())
    with ExitStack() as stack:
        yield Story(edge, stack)


def held(release: threading.Event) -> Callable[[Asked, Answering], None]:
    """A stream whose end waits for ``release``."""

    def behaviour(asked: Asked, answering: Answering) -> None:
        answering.events(b"one")
        assert release.wait(PATIENT_S)
        answering.chunk(b"data: two\n\n")
        answering.end()

    return behaviour


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
        story.facts.await_ways(second=Way.SERVING)
        within(DEADLINE_S, lambda: story.statuses(1) == {200})  # each worker hears of it
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


def test_a_fact_is_in_force_within_half_a_second(story: Story) -> None:
    replica, other = story.replica(), story.replica()
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port), pod("q", port=other.port))
    with story.gateway():
        story.envoy()
        story.facts.await_ways(p=Way.SERVING, q=Way.SERVING)
        took = []
        for draining in (True, False) * 4:
            begun = time.monotonic()
            story.facts.drained("p", draining=draining)
            within(DEADLINE_S, lambda: story.draining(replica.port) is draining, every=0.005)  # noqa: B023
            took.append(time.monotonic() - begun)
    assert sorted(took)[len(took) // 2] < 0.5


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
        story.facts.await_ways(p=Way.SERVING)
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
        story.facts.await_ways(p=Way.SERVING)
        assert story.statuses(2) == {200}


def test_one_replica_after_another_without_a_gap(story: Story) -> None:
    """Each next one is ready in the moment in which the one before is marked."""
    stop = threading.Event()

    def calls() -> list[int]:
        with httpx.Client(headers=ACME, timeout=DEADLINE_S) as client:
            url = story.edge.url("/chat/v1/x")
            return [client.get(url).status_code for _ in iter(stop.is_set, True)]

    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p0", port=story.replica().port))
    with story.gateway(), ThreadPoolExecutor(2) as callers:
        story.envoy()
        story.facts.await_ways(p0=Way.SERVING)
        within(DEADLINE_S, lambda: story.statuses(1) == {200})
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
        story.facts.await_ways(old=Way.SERVING)
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
        story.facts.await_ways(p=Way.SERVING)
        slow = callers.submit(story.slow)
        within(DEADLINE_S, lambda: replica.asked)
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


def test_an_application_that_is_removed_drains_and_then_is_gone(story: Story) -> None:
    release = threading.Event()
    replica = story.replica()
    replica.on("/v1/slow", held(release))
    story.facts.specified("chat", spec("/chat"))
    story.facts.observed(pod("p", port=replica.port))
    with story.gateway(), ThreadPoolExecutor(1) as callers:
        story.envoy()
        story.facts.await_ways(p=Way.SERVING)
        slow = callers.submit(story.slow)
        within(DEADLINE_S, lambda: replica.asked)
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
        with httpx.Client(headers=ACME, timeout=20) as client:
            while not stop.is_set():
                statuses.append(client.get(story.edge.url("/chat/v1/x")).status_code)
        return statuses

    with story.gateway(), ThreadPoolExecutor(4) as callers:
        story.envoy()
        story.facts.await_ways(p0=Way.SERVING, p1=Way.SERVING, p2=Way.SERVING)
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
