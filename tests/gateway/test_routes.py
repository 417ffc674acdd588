"""What an edge says of its routes, and when: on a log in memory, with an Envoy that is told."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from midstage.contracts import signature
from midstage.contracts.errors import UnavailableError
from midstage.contracts.limits import FailureRule
from midstage.contracts.routes import Way
from midstage.contracts.topics import ROUTES
from midstage.eventlog.codec import header
from midstage.eventlog.log import BEGINNING
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.apps import App, Endpoint, Replica, Routing
from midstage.gateway.model.inforce import Host, Seen
from midstage.gateway.stream.bell import Bell
from midstage.gateway.stream.configuration import Told
from midstage.gateway.stream.routes import SAID_EVERY_S, Edge, Routes
from midstage.testkit.clock import FrozenClock

from .conftest import EDGE, KEY
from .deployment import Facts

AT = Endpoint(host="127.0.0.1", port=40001)


def app(name: str = "chat", *replicas: Replica, version: int = 3) -> App:
    return App(
        name=name,
        prefix=f"/{name}",
        hosts=(),
        replicas=replicas,
        on_throttle_failure=FailureRule.OPEN,
        timeout_s=1.0,
        version=version,
    )


POD = Replica(endpoint=AT, pod="p", cluster="local", resource_version=1)


@dataclass(slots=True)
class ToldEnvoy:
    """Shows these hosts and this version of the routes while it answers."""

    answers: bool = True
    routes: str = "v1"
    hosts: dict[tuple[str, Endpoint], Host] = field(default_factory=dict)

    def seen(self) -> Seen:
        if not self.answers:
            raise UnavailableError("Envoy is away")
        return Seen(routes=self.routes, hosts=dict(self.hosts))


class Story:
    """An edge that is asked to look, on a clock that stands still."""

    def __init__(self) -> None:
        self.facts = Facts()
        self.envoy = ToldEnvoy(hosts={("chat", AT): Host()})
        self.clock = FrozenClock()
        self.metrics = Metrics(CollectorRegistry())
        self.told: Told | None = told(app("chat", POD))
        self.places: list[str] = []
        self.routes = Routes(
            edge=Edge(name=EDGE, signing_key=KEY, topic=ROUTES),
            log=self.facts.log,
            envoy=self.envoy,
            told=lambda: self.told,
            clock=self.clock,
            metrics=self.metrics,
            bell=Bell(),
            changed=lambda: None,
            reached=self.places.append,
        )

    def look(self, after_s: float = 0.0) -> None:
        """One look, and what it writes stands in the log."""
        self.clock.advance(after_s)
        self.routes.turn()
        if self.routes._writer is not None:
            assert self.routes._writer.flush(60) == 0

    def metric(self, name: str) -> str:
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return next(line for line in lines if line.startswith(name)).rpartition(" ")[2]


def told(*apps: App, version: str = "v1") -> Told:
    return Told(routing=Routing(apps=apps), version=version, refused=())


@pytest.fixture
def story() -> Iterator[Story]:
    made = Story()
    yield made
    stop = threading.Event()
    stop.set()
    made.routes.run(stop)


def test_what_envoy_has_is_said_signed(story: Story) -> None:
    story.look()
    (said,) = story.facts.said("chat")

    assert (said.edge, said.spec_version, said.prefix) == (EDGE, 3, "/chat")
    assert said.at == story.clock.now()
    assert [(one.pod, one.way, one.address) for one in said.endpoints] == [
        ("p", Way.SERVING, "127.0.0.1:40001")
    ]
    assert story.places == ["routes:written"]
    places = story.facts.log.partitions(ROUTES.name)
    records = story.facts.log.reader(dict.fromkeys(places, BEGINNING)).poll(most=9, timeout_s=0)
    (record,) = records
    assert record.key == b"chat"
    assert header(record, signature.HEADER) == signature.sign(
        key=KEY, source=f"edges/{EDGE}", value=record.value or b""
    )


def test_it_is_said_again_when_something_changed_and_each_two_seconds(story: Story) -> None:
    story.look()
    story.look(1.0)
    assert len(story.facts.said("chat")) == 1

    story.envoy.hosts = {("chat", AT): Host(active=5)}
    story.look(0.5)  # requests come and go: nothing new
    assert len(story.facts.said("chat")) == 1

    story.envoy.hosts = {("chat", AT): Host(draining=True)}
    story.look(0.1)
    assert story.facts.ways() == {"p": Way.DRAINING}
    story.look(SAID_EVERY_S)
    assert len(story.facts.said("chat")) == 3


def test_while_envoy_does_not_answer_nothing_is_said(story: Story) -> None:
    story.told = told(app("chat", Replica(endpoint=AT, pod="p", out=True, ending=True)))
    story.envoy.hosts = {("chat", AT): Host(draining=True)}
    story.look()
    story.envoy.answers = False
    for _ in range(5):
        story.look(SAID_EVERY_S)

    assert len(story.facts.said("chat")) == 1
    assert story.facts.ways() == {"p": Way.DRAINING}
    assert story.routes.look is None
    assert story.metric("midstage_gateway_envoy_unanswered_total") == "5.0"
    story.envoy.answers = True
    story.look(SAID_EVERY_S)
    assert story.facts.ways() == {"p": Way.DRAINING}  # its quiet begins anew
    story.look(1.0)
    assert story.facts.ways() == {"p": Way.DRAINED}


def test_routes_that_envoy_has_not_taken_are_not_said_to_be_in_force(story: Story) -> None:
    story.look()
    story.told = told(app("chat", POD, version=4), version="v2")
    story.look(SAID_EVERY_S)
    assert story.facts.said("chat")[-1].spec_version == 3

    story.envoy.routes = "v2"
    story.look(0.1)
    assert story.facts.said("chat")[-1].spec_version == 4


def test_an_application_that_is_gone_has_its_last_word(story: Story) -> None:
    story.told = told(app("chat", POD), app("code"))
    story.look()
    story.told = told(app("code"))
    story.look(0.1)
    assert story.facts.said("chat")[-1].endpoints == ()
    for _ in range(3):
        story.look(SAID_EVERY_S + 0.1)

    assert len(story.facts.said("chat")) == 2
    assert len(story.facts.said("code")) == 4


def test_people_s_own_applications_are_nobody_s_to_drain(story: Story) -> None:
    story.told = told(app("chat", Replica(endpoint=AT), version=0))
    story.look()

    assert story.facts.said("chat") == []
    assert story.routes.look is not None
    assert [one.way for one in story.routes.look.apps["chat"]] == [Way.SERVING]


def test_what_kafka_did_not_take_is_said_as_it_is_by_then(story: Story) -> None:
    story.look()
    story.facts.log.cut()
    story.envoy.hosts = {("chat", AT): Host(draining=True)}
    story.routes.turn()
    story.facts.log.mend()
    story.envoy.hosts = {("chat", AT): Host()}
    story.look(SAID_EVERY_S)
    story.look(SAID_EVERY_S)

    assert story.facts.ways() == {"p": Way.SERVING}


def test_before_anything_was_told_there_is_nothing_to_say(story: Story) -> None:
    story.told = None
    story.look()

    assert story.facts.said("chat") == []
    assert story.routes.progress() is None
