from hypothesis import given
from hypothesis import strategies as st

from midstage.local import lifecycle
from midstage.local.lifecycle import LONGEST_WAIT_S, STABLE_S, Life, State


def running(now: float, *, deaths: int = 0) -> Life:
    life = lifecycle.started(lifecycle.born(now), now)
    for _ in range(deaths):
        life = lifecycle.died(life, now, exit_code=1, restarted=True)
        life = lifecycle.started(life, now)
    return life


def test_a_new_process_is_started_at_once() -> None:
    assert lifecycle.is_due(lifecycle.born(7.0), 7.0)


def test_a_running_process_is_not_started_again() -> None:
    assert not lifecycle.is_due(running(0.0), 1_000.0)


def test_what_dies_is_restarted_after_a_wait() -> None:
    dead = lifecycle.died(running(0.0), 5.0, exit_code=-9, restarted=True)
    assert (dead.state, dead.restarts, dead.exit_code) == (State.WAITING, 1, -9)
    assert not lifecycle.is_due(dead, 5.0)
    assert lifecycle.is_due(dead, 5.0 + lifecycle.FIRST_WAIT_S)


def test_how_it_ended_last_is_known_while_it_runs_again() -> None:
    """Whoever gives up a start that keeps dying may look just when it was started again."""
    assert running(0.0).exit_code is None
    dead = lifecycle.died(running(0.0), 5.0, exit_code=3, restarted=True)
    assert lifecycle.started(dead, 6.0).exit_code == 3


def test_each_death_in_a_row_doubles_the_wait_up_to_the_longest() -> None:
    waits = [lifecycle.wait_s(n) for n in range(1, 9)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_stable_time_forgets_earlier_deaths() -> None:
    shaky = running(0.0, deaths=5)
    early = lifecycle.died(shaky, STABLE_S - 1, exit_code=1, restarted=True)
    late = lifecycle.died(shaky, STABLE_S, exit_code=1, restarted=True)
    assert (early.in_a_row, late.in_a_row) == (6, 1)
    assert late.restarts == 6


def test_what_is_asked_to_stop_ends_for_good() -> None:
    asked = lifecycle.stopping(running(0.0), 3.0)
    assert asked.state is State.STOPPING
    ended = lifecycle.died(asked, 4.0, exit_code=0, restarted=True)
    assert (ended.state, ended.restarts) == (State.ENDED, 0)


def test_what_waits_for_its_next_start_has_ended_when_it_is_asked_to_stop() -> None:
    dead = lifecycle.died(running(0.0), 5.0, exit_code=1, restarted=True)
    stopped = lifecycle.stopping(dead, 5.1)
    assert stopped.state is State.ENDED
    assert not lifecycle.is_due(stopped, 100.0)


def test_what_runs_once_is_not_restarted() -> None:
    ended = lifecycle.died(running(0.0), 2.0, exit_code=3, restarted=False)
    assert (ended.state, ended.exit_code, ended.restarts) == (State.ENDED, 3, 0)


@given(st.integers(min_value=1, max_value=10**6))
def test_a_wait_is_never_zero_nor_longer_than_the_longest(deaths: int) -> None:
    assert 0 < lifecycle.wait_s(deaths) <= LONGEST_WAIT_S
