"""Counts over time: folded from pods' facts in any order, and what they sum up to."""

import random
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.cluster import ClusterFact
from midstage.local.replay import steps
from midstage.local.replay.steps import Step

from .loop_facts import after, gone, life, pod


def counted(facts: Sequence[ClusterFact], *, app: str = "chat") -> list[tuple[datetime, int]]:
    return [(s.at, s.count) for s in steps.pods(facts, app=app, counts=steps.serves)]


def test_a_pod_serves_from_ready_until_it_drains() -> None:
    facts = life("a", ready=10, leaves=20, ends=24)
    assert counted(facts) == [(after(8), 0), (after(10), 1), (after(20), 0)]
    ready = steps.pods(facts, app="chat", counts=steps.ready)
    assert [(s.at, s.count) for s in ready] == [(after(8), 0), (after(10), 1), (after(24), 0)]


def test_other_applications_pods_do_not_count() -> None:
    facts = [pod(1, "a", version=1), pod(2, "b", version=1, app="code")]
    assert counted(facts, app="code") == [(after(1), 0), (after(2), 1)]
    assert counted([], app="chat") == []


def test_a_zombies_word_and_a_late_one_change_nothing() -> None:
    true: list[ClusterFact] = [pod(1, "a", version=5, epoch=2), gone(9, "b", version=7)]
    late = [pod(4, "a", version=9, epoch=1, ready=False), pod(10, "b", version=6)]
    assert counted([*true, *late]) == [(after(1), 1)]


lives = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.booleans()),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(deadline=None)
@given(lives, st.randoms(use_true_random=False))
def test_ready_seconds_are_the_sum_of_each_pods_own(
    drawn: list[tuple[int, int, int, bool]], order: random.Random
) -> None:
    facts: list[ClusterFact] = []
    expected = 0
    for number, (ready, stays, drains, ends) in enumerate(drawn):
        out = ready + 1 + stays
        gone_at = out + 1 + drains
        facts += life(f"p{number}", ready=ready, leaves=out if ends else None, ends=gone_at)
        expected += (gone_at if ends else 2000) - ready
    order.shuffle(facts)
    twice = facts + facts[: len(facts) // 2]
    found = steps.pods(twice, app="chat", counts=steps.ready)
    assert steps.seconds(found, after(-10), after(2000)) == pytest.approx(expected)
    assert steps.peak(found, after(-10), after(2000)) <= len(drawn)


counts = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9)), min_size=1, max_size=30)


@pytest.mark.slow
@given(counts, st.integers(-50, 350), st.integers(0, 200), st.integers(0, 200))
def test_a_span_is_the_sum_of_its_parts(
    drawn: list[tuple[int, int]], begun: int, first: int, second: int
) -> None:
    of = steps.changes(Step(at=after(at), count=count) for at, count in sorted(drawn))
    middle, end = begun + first, begun + first + second
    parts = steps.seconds(of, after(begun), after(middle)) + steps.seconds(
        of, after(middle), after(end)
    )
    assert steps.seconds(of, after(begun), after(end)) == pytest.approx(parts)
    assert parts <= steps.peak(of, after(begun), after(end)) * (end - begun) + 1e-6


@given(counts)
def test_steps_change_the_count_and_the_time_each(drawn: list[tuple[int, int]]) -> None:
    of = steps.changes(Step(at=after(at), count=count) for at, count in sorted(drawn))
    assert all(a.at < b.at and a.count != b.count for a, b in pairwise(of))
    for moment in range(0, 301, 7):
        last = [count for at, count in sorted(drawn) if at <= moment]
        assert steps.at(of, after(moment)) == (last[-1] if last else None)


def test_a_count_is_reached_at_once_where_it_is_there_already() -> None:
    of = [Step(at=after(0), count=2), Step(at=after(10), count=4), Step(at=after(20), count=3)]
    assert steps.reached(of, 2, since=after(5), until=after(30)) == after(5)
    assert steps.reached(of, 4, since=after(5), until=after(30)) == after(10)
    assert steps.reached(of, 4, since=after(5), until=after(9)) is None
    assert steps.reached(of, 4, since=after(21), until=after(30)) is None
