"""The live view of replicas, from a log that goes on, is cut, and comes back."""

import contextlib
import dataclasses
import uuid

import pytest

from midstage.contracts import topics
from midstage.local.replay.following import Fleet, Following
from midstage.local.replay.told import Topics, told
from midstage.testkit.waiting import within
from tests.kafka import kafka_log

from .loop_facts import DECISIONS, after, decided, log_of, pod, pods, said, sent


def test_a_look_sees_what_the_log_says_by_then() -> None:
    log = log_of([decided(-60, 0, 2)], [pod(-50, "a", version=2)])
    with contextlib.closing(Following(log, app="chat")) as following:
        first = following.fleet()
        assert first == Fleet(serving=1, wanted=2, decision=decided(-60, 0, 2))
        sent(log, [pod(3, "b", version=2), pod(4, "other", version=2, app="code")])
        second = following.fleet()
        assert second is not None
        assert (second.serving, second.wanted) == (2, 2)
        sent(log, [pod(5, "a", version=3, draining=True)])
        third = following.fleet()
        assert third is not None
        assert third.serving == 1


def test_what_nobody_decided_is_unknown_and_not_zero() -> None:
    with contextlib.closing(Following(log_of([], []), app="chat")) as following:
        assert following.fleet() == Fleet(serving=0, wanted=None, decision=None)


def test_while_the_broker_is_away_nothing_is_known_and_then_it_goes_on() -> None:
    log = log_of(DECISIONS, pods())
    log.cut()
    following = Following(log, app="chat")
    assert following.fleet() is None
    log.mend()
    last = following.fleet()
    assert last is not None
    assert (last.wanted, last.serving) == (6, 6)
    log.cut()
    assert following.fleet() is None
    log.mend()
    assert following.fleet() == last
    assert last.decision is not None
    assert last.decision.at == after(170.5)
    following.close()


@pytest.mark.platform
@pytest.mark.slow
def test_a_real_log_tells_the_same(kafka: str) -> None:
    name = uuid.uuid4().hex[:12]
    own = Topics(
        cluster=dataclasses.replace(topics.CLUSTER, name=f"midstage.cluster-{name}.v1"),
        scaling=dataclasses.replace(topics.SCALING, name=f"midstage.scaling-{name}.v1"),
    )
    log = kafka_log(kafka)
    said(log, DECISIONS, pods(), own)
    read, expected = (
        told(log, until=after(190), topics=own, within_s=60),
        told(log_of(DECISIONS, pods()), until=after(190)),
    )
    assert read.decisions == expected.decisions
    assert {(p.name, p.observed_at) for p in read.pods} == {
        (p.name, p.observed_at) for p in expected.pods
    }
    with contextlib.closing(Following(log, app="chat", topics=own)) as following:
        fleet = within(60, following.fleet)
    assert fleet is not None
    assert (fleet.serving, fleet.wanted) == (6, 6)
