"""Decisions and what became of them: when they were carried out, and when they never were."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.scaling import ScaleDecided
from midstage.local.replay.scaling import Decision, followed, wanted
from midstage.local.replay.steps import Step, changes

from .loop_facts import after, decided


def served(*pairs: tuple[float, int]) -> list[Step]:
    return [Step(at=after(at), count=count) for at, count in pairs]


def became(facts: list[ScaleDecided], *serving: tuple[float, int]) -> tuple[Decision, ...]:
    return followed(facts, serving={"chat": served(*serving)}, until=after(100))


def test_a_scale_up_is_carried_out_when_as_many_serve() -> None:
    (one,) = became([decided(10, 2, 4, load=0.5)], (0, 2), (12, 3), (13, 4))
    assert (one.before, one.after, one.up, one.down) == (2, 4, True, False)
    assert one.load_to_decision_ms == pytest.approx(500)
    assert one.decision_to_ready_ms == pytest.approx(3000)
    assert one.load_to_ready_ms == pytest.approx(3500)


def test_a_later_larger_one_does_not_take_away_that_the_first_was_reached() -> None:
    first, second = became([decided(10, 2, 4), decided(11, 4, 6)], (0, 2), (13, 4), (15, 6))
    assert (first.ready_at, second.ready_at) == (after(13), after(15))


def test_one_that_a_smaller_one_replaced_before_it_was_reached_never_was() -> None:
    first, second = became([decided(10, 2, 6), decided(14, 6, 4)], (0, 2), (12, 4), (20, 6))
    assert (first.ready_at, first.decision_to_ready_ms, first.load_to_ready_ms) == (None,) * 3
    assert second.ready_at is None
    assert second.down


def test_a_smaller_one_of_another_application_replaces_nothing() -> None:
    one, _ = became([decided(10, 2, 4), decided(11, 3, 1, app="code")], (0, 2), (13, 4))
    assert one.ready_at == after(13)


def test_a_decision_without_load_has_no_time_from_it() -> None:
    (one,) = became([decided(10, 2, 4, load=None)], (0, 2), (13, 4))
    assert (one.load_to_decision_ms, one.load_to_ready_ms) == (None, None)
    assert one.decision_to_ready_ms == pytest.approx(3000)


def test_the_first_decision_of_all_is_neither_up_nor_down() -> None:
    (one,) = became([decided(10, 0, 2)], (0, 2))
    assert (one.up, one.down, one.ready_at) == (False, False, None)


walks = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 9)), min_size=1, max_size=20)
fleets = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 9)), max_size=20).map(sorted)


@pytest.mark.slow
@settings(deadline=None)
@given(walks, fleets)
def test_what_was_reached_was_reached_by_then_and_not_before(
    walk: list[tuple[int, int]], fleet: list[tuple[int, int]]
) -> None:
    at, before, facts = 0, 1, []
    for pause, count in walk:
        at += pause
        facts.append(decided(at, before, count))
        before = count
    serving = changes(served(*fleet))
    found = followed(facts[::-1], serving={"chat": serving}, until=after(400))
    assert [one.at for one in found] == [fact.at for fact in facts]
    for number, one in enumerate(found):
        if one.ready_at is None:
            continue
        assert one.up
        assert one.ready_at >= one.at
        assert max(s.count for s in serving if s.at <= one.ready_at) >= one.after
        passed = [other for other in found[number + 1 :] if other.at < one.ready_at]
        assert all(other.after >= one.after for other in passed)
        between = [s for s in serving if one.at < s.at < one.ready_at]
        assert all(s.count < one.after for s in between)


def test_what_is_wanted_is_the_last_decision() -> None:
    facts = [decided(30, 4, 2), decided(10, 2, 4), decided(20, 1, 9, app="code")]
    assert list(wanted(facts, app="chat")) == served((10, 4), (30, 2))
