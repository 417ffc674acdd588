"""No update waits for ever: what is feasible ends, and everything else is refused up front."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.deploy.decide.room import Way
from tests.deploy.updates import Told, Update, play, updates

pytestmark = pytest.mark.slow

cores = st.sampled_from([1.0, 2.0, 3.0])
asks = st.tuples(cores, st.integers(0, 2))
small = st.builds(
    Update,
    nodes=st.lists(
        st.tuples(st.sampled_from([2.0, 3.0, 4.0, 5.0, 7.0]), st.integers(0, 3)),
        min_size=1,
        max_size=3,
    ).map(tuple),
    others=st.lists(asks, max_size=2).map(tuple),
    old=asks,
    new=asks,
    replicas=st.integers(1, 5),
    surge=st.integers(0, 2),
    min_available=st.one_of(st.none(), st.integers(0, 5)),
)


@settings(max_examples=150, deadline=None)
@given(update=small)
def test_what_is_feasible_ends_and_everything_else_is_refused(update: Update) -> None:
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
    """Two on one node make room for a big one, one alone on another node makes none."""
    update = Update(
        nodes=((1.0, 0), (2.0, 0), (2.0, 0)),
        others=((2.0, 0),),
        old=(1.0, 0),
        new=(2.0, 0),
        replicas=1,
        surge=1,
        min_available=0,
    )
    told = play(update)
    assert told is not None
    agrees(update, told)


def agrees(update: Update, told: Told) -> None:
    """Deploy and brute force say the same, it ends where they say so, and enough serve."""
    taken = told.course.way is not Way.REFUSED
    assert taken == told.feasible, f"{update} {told.course} feasible: {told.feasible}"
    assert told.ended == told.feasible, f"{update} {told.course} {told.told}"
    assert not told.wrongs
    least = update.min_available
    if least is None:
        least = max(1, update.replicas - 1)
    assert told.least_serving >= min(least, update.replicas)
