"""When a marked pod may be stopped, by what edges say and when they said it."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from midstage.contracts.cluster import Phase, PodObserved
from midstage.contracts.routes import Endpoint, RoutesApplied, Way
from midstage.deploy.views.drains import Edges, Marks
from midstage.testkit.clock import NOON

POD = PodObserved(
    cluster="c",
    name="chat-1",
    epoch=1,
    observed_at=NOON,
    uid="u1",
    resource_version=7,
    app="chat",
    phase=Phase.RUNNING,
    ready=True,
    draining=True,
    created_at=NOON,
    ready_at=NOON,
)


@dataclass(kw_only=True)
class Story:
    """A pod that is marked at second 10, and what edges say of it."""

    edges: Edges
    marks: Marks
    pod: PodObserved = POD

    def said(self, way: Way, *, at_s: float, edge: str = "e1", version: int = 7) -> None:
        endpoint = Endpoint(
            pod="chat-1", address="a:1", way=way, uid="u1", resource_version=version
        )
        self.told(at_s, edge, (endpoint,))

    def told(self, at_s: float, edge: str, endpoints: tuple[Endpoint, ...]) -> None:
        at = NOON + timedelta(seconds=at_s)
        self.edges.said(RoutesApplied(edge=edge, app="chat", at=at, endpoints=endpoints), at_s=at_s)

    def stoppable(self, now_s: float, *, drain_s: float = 30) -> bool:
        return "u1" in self.marks.stoppable([self.pod], self.edges, drain_s=drain_s, now_s=now_s)


def marked(*edges: str, pod: PodObserved = POD) -> Story:
    story = Story(edges=Edges(), marks=Marks(), pod=pod)
    for edge in edges:
        story.edges.beat(edge, at_s=9)
    story.marks.seen([pod], now_s=10)
    return story


def test_each_living_edge_has_to_say_so() -> None:
    story = marked("e1", "e2")
    story.said(Way.DRAINED, at_s=10.5)
    assert not story.stoppable(11)
    story.said(Way.DRAINING, at_s=10.5, edge="e2")
    assert not story.stoppable(11)
    story.said(Way.DRAINED, at_s=11, edge="e2")
    assert story.stoppable(11)


def test_a_silent_edge_is_not_waited_for() -> None:
    story = marked("e1", "e2")
    story.said(Way.DRAINED, at_s=10.5)
    assert not story.stoppable(13.9)
    story.edges.beat("e1", at_s=14)
    assert story.stoppable(14.1)


def test_where_nobody_lives_only_the_drain_time_frees() -> None:
    story = marked()
    story.said(Way.DRAINED, at_s=10.5)
    assert not story.stoppable(39.9)
    assert story.stoppable(40)


def test_what_was_said_before_the_mark_does_not_count() -> None:
    story = marked("e1")
    story.said(Way.DRAINED, at_s=10.5, version=6)
    assert not story.stoppable(11)


def test_an_older_word_that_comes_later_does_not_hold() -> None:
    story = marked("e1")
    story.said(Way.DRAINED, at_s=11)
    story.said(Way.SERVING, at_s=10.5)
    assert story.stoppable(11.1)


def test_whoever_leaves_it_out_for_long_enough_does_not_know_it() -> None:
    story = marked("e1")
    story.told(11, "e1", ())
    assert not story.stoppable(11.1)
    story.told(12.6, "e1", ())
    assert story.stoppable(12.7)


def test_an_edge_that_has_said_nothing_of_the_application_is_waited_for() -> None:
    assert not marked("e1").stoppable(13)


def test_a_pod_that_never_was_ready_is_not_waited_for() -> None:
    assert marked("e1", pod=msgspec.structs.replace(POD, ready_at=None, ready=False)).stoppable(10)


def test_a_mark_that_is_taken_back_begins_anew() -> None:
    story = marked()
    story.marks.seen([msgspec.structs.replace(POD, draining=False)], now_s=20)
    assert not story.stoppable(60)
    story.marks.seen([POD], now_s=61)
    assert not story.stoppable(62)
