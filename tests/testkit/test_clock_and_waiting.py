from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from midstage.chassis.clock import Clock, SystemClock
from midstage.testkit.clock import NOON, FrozenClock
from midstage.testkit.waiting import within


def test_a_frozen_clock_moves_only_when_told() -> None:
    clock = FrozenClock()
    stands_in: Clock = clock
    assert stands_in.now() == stands_in.now() == NOON
    assert clock.advance(1.5) == NOON + timedelta(seconds=1.5)
    clock.advance(timedelta(minutes=1))
    assert (clock.now() - NOON).total_seconds() == clock.monotonic() == 61.5


def test_a_clock_neither_goes_back_nor_lacks_a_zone() -> None:
    with pytest.raises(ValueError, match="go back"):
        FrozenClock().advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        FrozenClock(datetime(2026, 1, 1))  # noqa: DTZ001  naive on purpose


def test_the_system_clock_is_aware_and_moves() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    assert clock.now().tzinfo is UTC
    assert within(1, lambda: clock.monotonic() > before)


def test_waiting_gives_the_first_true_value() -> None:
    values = iter([0, "", "there"])
    assert within(5, lambda: next(values), every=0) == "there"


def test_a_question_that_took_all_the_time_is_asked_once_more() -> None:
    asked: list[float] = []

    def slow() -> bool:
        asked.append(clock.monotonic())
        within(60, lambda: clock.monotonic() > asked[0] + 0.01)
        return len(asked) == 2

    clock = SystemClock()
    assert within(0.005, slow)


def test_the_longer_it_takes_the_less_often_it_is_asked() -> None:
    asked: list[float] = []

    def over() -> bool:
        asked.append(clock.monotonic())
        return asked[-1] > asked[0] + 0.1

    clock = SystemClock()
    assert within(60, over, every=0)
    for at, then in pairwise(asked):
        assert then - at >= 0.04 * (at - asked[0])


def test_waiting_in_vain_names_the_question_and_the_last_answer() -> None:
    def seen() -> list[int]:
        return []

    with pytest.raises(AssertionError, match=r"not within 0 s: .*seen still gives \[\]"):
        within(0, seen)


def test_what_a_condition_raises_is_not_swallowed() -> None:
    def wrong() -> bool:
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):
        within(5, wrong)
