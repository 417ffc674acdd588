"""No update waits for ever: what is feasible ends, and everything else is refused up front."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midstage.contracts.apps import Rollout, Verdict
from midstage.contracts.running import Disruption
from midstage.deploy.decide.room import Way
from tests.deploy.facts import node
from tests.deploy.test_steps import spec, verdicts
from tests.deploy.updates import Told, Update, play, updates
from tests.deploy.world import Edge, World

pytestmark = pytest.mark.slow

cores = st.sampled_from([1.0, 2.0, 3.0])
asks = st.tuples(cores, st.integers(0, 2))
small = st.builds(
    Update,
    nodes=st.lists(
        st.tuples(st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0]), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    ).map(tuple),
    others=st.lists(asks, max_size=2).map(tuple),
    old=asks,
    new=asks,
    replicas=st.integers(1, 5),
    surge=st.integers(0, 4),
    min_available=st.one_of(st.none(), st.integers(0, 5)),
    grown=st.sampled_from([0.0, 0.0, 2.0, 4.0, 8.0]),
)
crowded = st.builds(
    replace,
    small,
    late=st.lists(asks, max_size=2).map(tuple),
    zones=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(tuple),
    skew=st.sampled_from([None, 1, 1, 2]),
    budget=st.sampled_from([None, 1, 2]),
)
labels = st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=4).map(tuple)
two_ways = st.builds(
    replace,
    small,
    nodes=st.lists(
        st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.integers(0, 1)), min_size=2, max_size=4
    ).map(tuple),
    old=st.just((1.0, 0)),
    new=st.sampled_from([(1.0, 0), (2.0, 0)]),
    zones=labels,
    racks=labels,
    skew=st.integers(1, 2),
    rack_skew=st.integers(1, 2),
)
ranked = st.builds(
    replace,
    small,
    late=st.lists(asks, min_size=1, max_size=3).map(tuple),
    rank=st.sampled_from([None, "high"]),
    low=st.integers(0, 3),
)
TWICE_EVICTED = Update(
    nodes=((5.0, 0),),
    others=((1.0, 0),),
    old=(1.0, 0),
    new=(2.0, 0),
    replicas=2,
    surge=0,
    min_available=None,
    late=((1.0, 0),),
    low=1,
)
"""One of less priority is replaced beside its own dying pod, and would have to be evicted again."""


@settings(max_examples=150, deadline=None)
@given(update=small)
def test_what_is_feasible_ends_and_everything_else_is_refused(update: Update) -> None:
    told = play(update)
    if told is not None:
        agrees(update, told)


@settings(max_examples=150, deadline=None)
@given(update=crowded)
def test_so_it_is_with_spread_budgets_and_others_that_wait(update: Update) -> None:
    told = play(update)
    if told is not None:
        agrees(update, told)


@settings(max_examples=150, deadline=None)
@given(update=ranked)
@example(update=TWICE_EVICTED)
def test_so_it_is_where_others_are_worth_less(update: Update) -> None:
    told = play(update)
    if told is not None:
        agrees(update, told)


@settings(max_examples=150, deadline=None)
@given(update=two_ways)
def test_so_it_is_with_several_spreads_wherever_the_scheduler_puts_them(update: Update) -> None:
    told = play(update)
    if told is not None:
        agrees(update, told)


@pytest.mark.parametrize("seed", range(8))
def test_without_a_spare_gpu_no_update_is_stuck(seed: int) -> None:
    for update in updates(seed, 25, gpus=True):
        told = play(update)
        assert told is not None
        agrees(update, told)


def test_who_gives_its_place_is_chosen_so_that_it_helps() -> None:
    """The two on one node make room for a big one, those alone on small nodes for none."""
    small_ones = [node(f"node-{number}", cpu=1) for number in range(3)]
    late = node("node-9", cpu=0.5)
    world = World(nodes=[*small_ones, node("node-8", cpu=2), late], edges=[Edge(name="edge-1")])
    world.seat()
    rollout = Rollout(surge=4, min_available=5, progress_within_s=60)
    world.specify(spec("a", replicas=5, cpu=1, rollout=rollout))
    world.until(world.settled)
    world.state.set_node(late.name, capacity=node("n", cpu=8).capacity, now=world.now())
    world.least_serving.clear()
    world.specify(spec("b", replicas=5, cpu=2, rollout=rollout))
    world.until(world.settled)
    assert verdicts(world)[-1] == (Verdict.COMPLETE, "")
    assert min(world.least_serving) >= 5
    assert world.wrongs == []


def test_no_more_are_away_at_once_than_the_budget_says() -> None:
    world = World(nodes=[node("node-1", cpu=4)], edges=[Edge(name="edge-1")])
    world.seat()
    rollout = Rollout(surge=0, min_available=0)
    budget = Disruption(max_unavailable=1)
    world.specify(spec("a", replicas=4, cpu=1, rollout=rollout, disruption=budget))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b", replicas=4, cpu=1, rollout=rollout, disruption=budget))
    world.until(world.settled)
    assert verdicts(world)[-1] == (Verdict.COMPLETE, "")
    assert min(world.least_serving) == 3


def test_older_replicas_of_lower_priority_are_drained_and_never_evicted() -> None:
    """There is room for one more, and three might come beside: two would have others evicted."""
    world = World(
        nodes=[node("node-1", cpu=4)], edges=[Edge(name="edge-1")], priorities={"high": 5}
    )
    world.seat()
    rollout = Rollout(surge=3)
    world.specify(spec("a", replicas=3, cpu=1, rollout=rollout))
    world.until(world.settled)
    world.least_serving.clear()
    world.specify(spec("b", replicas=3, cpu=1, priority="high", rollout=rollout))
    world.until(world.settled)
    assert verdicts(world)[-1] == (Verdict.COMPLETE, "")
    assert {pod.priority for pod in world.state.pods()} == {5}
    assert min(world.least_serving) >= 3
    assert world.wrongs == []


def agrees(update: Update, told: Told) -> None:
    """Deploy and brute force say the same, it ends where they say so, and enough serve."""
    taken = told.course.way is not Way.REFUSED
    assert taken == told.feasible, f"{update} {told.course} feasible: {told.feasible}"
    assert told.ended == told.feasible, f"{update} {told.course} {told.told}"
    assert not told.wrongs
    assert told.least_serving >= update.least
