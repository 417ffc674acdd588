"""All limits that a request meets, in one step: who passes, who refuses, what is left."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.algorithms import (
    AnyAlgorithm,
    CalendarQuota,
    Every,
    FixedWindow,
    Gcra,
    LeakyBucket,
    LifetimeQuota,
    MovingWindow,
    Refill,
    SlidingCounter,
    Slots,
    Starts,
    TokenBucket,
)
from midstage.contracts.limits import FailureRule, LimitSet, OpenTo
from midstage.testkit.clock import NOON
from midstage.throttle.decide.judging import foreseen, judged, judged_late, strictest_rule
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.wall import WallClock
from midstage.throttle.model.account import OnFailure
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.views.book import meeting_of

SECOND = 1_000_000_000
MIDNIGHT = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
ALGORITHMS: Sequence[AnyAlgorithm] = (
    TokenBucket(period_s=60.0),
    TokenBucket(period_s=60.0, refill=Refill.WHOLE),
    LeakyBucket(period_s=60.0),
    Gcra(period_s=60.0),
    FixedWindow(period_s=60.0),
    FixedWindow(period_s=60.0, starts=Starts.FIRST_HIT),
    MovingWindow(period_s=60.0),
    SlidingCounter(period_s=60.0),
    CalendarQuota(every=Every.DAY),
    LifetimeQuota(),
)
kinds = st.sampled_from(ALGORITHMS)
still = st.sampled_from([each for each in ALGORITHMS if "whole" not in str(each)])
"""A bucket that is refilled whole begins with any question, a refused one too."""
steps = st.lists(st.tuples(st.integers(0, 90 * SECOND), st.integers(0, 6)), max_size=30)


class Story:
    """Accounts of one customer, and a clock that the test moves."""

    def __init__(self, *limits: LimitSet, ahead_ns: int = MIDNIGHT) -> None:
        self.wall = WallClock(ahead_ns)
        self.meeting = meeting_of(limits)
        self.accounts = [LimitAccount(limit, "acme", 0, self.wall) for limit in limits]

    def ask(self, hits: int = 1, at: int = 0, **units: int) -> Judged:
        return judged(self.meeting, self.accounts, self.check(hits, units), at)

    def ask_late(self, hits: int = 1, at: int = 0, **units: int) -> Judged:
        return judged_late(self.meeting, self.accounts, self.check(hits, units), at)

    def foresee(self, hits: int = 1, at: int = 0, **units: int) -> Judged:
        return foreseen(self.meeting, self.accounts, self.check(hits, units), at)

    def remaining(self, at: int = 0) -> list[int]:
        return [account.meter.remaining(at) for account in self.accounts]

    @staticmethod
    def check(hits: int, units: dict[str, int]) -> Check:
        return Check(customer="acme", app="chat", hits=hits, units=units)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_each_algorithm_admits_its_amount_and_no_more(algorithm: AnyAlgorithm) -> None:
    story = Story(limit("one", 5, algorithm))
    assert [story.ask().admitted for _ in range(7)] == [True] * 5 + [False] * 2
    refused = story.ask()
    assert refused.violated == ("one",)
    assert refused.left[0].remaining == 0
    if refused.wait_ns is None:
        assert isinstance(algorithm, LifetimeQuota)
        return
    assert not story.foresee(at=refused.wait_ns - 1).admitted
    assert story.ask(at=refused.wait_ns).admitted


def test_limits_are_charged_all_or_none() -> None:
    story = Story(limit("day", 10), limit("minute", 2), limit("tokens", 100, unit="tokens"))
    assert story.ask(tokens=40).admitted
    assert story.remaining() == [9, 1, 60]
    refused = story.ask(tokens=70)
    assert (refused.admitted, refused.violated) == (False, ("tokens",))
    assert story.remaining() == [9, 1, 60]
    assert story.ask(tokens=60).admitted
    assert story.ask().violated == ("minute", "tokens")
    assert story.remaining() == [8, 0, 0]


@given(amounts=st.lists(st.tuples(st.integers(1, 8), kinds), min_size=2, max_size=4), asked=steps)
def test_the_order_of_limits_is_of_no_matter(
    amounts: list[tuple[int, AnyAlgorithm]], asked: list[tuple[int, int]]
) -> None:
    limits = [limit(f"l{number}", *terms) for number, terms in enumerate(amounts)]
    stories = [Story(*order) for order in list(permutations(limits))[:6]]
    at = 0
    for gap, hits in asked:
        at += gap
        said = [story.ask(hits, at) for story in stories]
        assert len({each.admitted for each in said}) == 1
        assert len({frozenset(each.violated) for each in said}) == 1
        assert len({each.wait_ns for each in said}) == 1


@given(amounts=st.lists(st.tuples(st.integers(1, 8), still), min_size=1, max_size=3), asked=steps)
def test_refused_requests_consume_nothing_and_a_look_changes_nothing(
    amounts: list[tuple[int, AnyAlgorithm]], asked: list[tuple[int, int]]
) -> None:
    limits = [limit(f"l{number}", *terms) for number, terms in enumerate(amounts)]
    eager, patient, at = Story(*limits), Story(*limits), 0
    for gap, hits in asked:
        at += gap
        looked = eager.foresee(hits, at)
        said = eager.ask(hits, at)
        assert looked.admitted == said.admitted
        if said.admitted:
            assert patient.ask(hits, at).left == said.left
    assert eager.remaining(at) == patient.remaining(at)


@given(first=kinds, second=kinds, asked=steps)
def test_all_together_admit_what_each_one_would(
    first: AnyAlgorithm, second: AnyAlgorithm, asked: list[tuple[int, int]]
) -> None:
    """No limit is passed that would refuse alone, given what was admitted before."""
    limits = (limit("a", 5, first), limit("b", 3, second))
    both, alone, at = Story(*limits), [Story(each) for each in limits], 0
    for gap, hits in asked:
        at += gap
        would = all(each.foresee(hits, at).admitted for each in alone)
        assert both.ask(hits, at).admitted == would
        if would:
            assert all(each.ask(hits, at).admitted for each in alone)


def test_what_asks_for_more_than_there_ever_is_waits_for_ever() -> None:
    story = Story(limit("one", 5), limit("two", 50))
    refused = story.ask(6)
    assert (refused.violated, refused.wait_ns) == (("one",), None)


def test_the_longest_wait_is_told() -> None:
    story = Story(limit("minute", 1), limit("second", 1, TokenBucket(period_s=1.0)))
    assert story.ask().admitted
    assert story.ask().wait_ns == 60 * SECOND


def test_a_limit_in_shadow_mode_refuses_nobody() -> None:
    story = Story(limit("shadow", 1, shadow=True), limit("real", 2))
    assert [story.ask().admitted for _ in range(3)] == [True, True, False]
    assert story.accounts[0].would_refuse == 2
    assert story.ask().violated == ("real",)


def test_a_limit_to_be_drained_is() -> None:
    story = Story(limit("drained", 5, drain=True), limit("other", 100))
    assert not story.ask(6).admitted
    assert story.remaining() == [0, 100]


def test_late_checks_get_each_limits_own_rule() -> None:
    open_, closed = limit("open", 1), limit("closed", 9, on_failure=FailureRule.CLOSED)
    story = Story(open_)
    assert [story.ask_late(5).admitted for _ in range(3)] == [True] * 3
    assert story.remaining() == [0]
    story = Story(open_, closed)
    refused = story.ask_late()
    assert (refused.admitted, refused.violated) == (False, ("closed",))
    assert story.remaining() == [1, 9]
    assert strictest_rule(story.accounts) is OnFailure.CLOSED


def test_open_to_some_passes_so_many_late_checks_in_each_period() -> None:
    story = Story(limit("some", 1, on_failure=OpenTo(amount=2, period_s=60.0)))
    assert [story.ask_late().admitted for _ in range(3)] == [True, True, False]
    assert story.ask_late(at=60 * SECOND).admitted
    assert strictest_rule(story.accounts) is OnFailure.OPEN_TO


def test_a_calendars_day_is_the_wall_clocks() -> None:
    story = Story(limit("day", 1, CalendarQuota(every=Every.DAY)), ahead_ns=MIDNIGHT - SECOND)
    assert [story.ask().admitted for _ in range(2)] == [True, False]
    assert story.ask(at=SECOND).admitted
    assert not story.ask(at=2 * SECOND).admitted


def test_a_wall_clock_that_is_put_back_gives_nothing() -> None:
    story = Story(limit("day", 1, CalendarQuota(every=Every.DAY)), ahead_ns=MIDNIGHT)
    assert story.ask().admitted
    story.wall.ahead_ns = MIDNIGHT - 3600 * SECOND
    assert not story.ask().admitted
    story.wall.ahead_ns = MIDNIGHT
    assert not story.ask().admitted


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, Slots()], ids=str)
@pytest.mark.parametrize("amount", [3, 9])
def test_a_changed_limit_keeps_what_was_counted(algorithm: AnyAlgorithm, amount: int) -> None:
    unit = "concurrency" if isinstance(algorithm, Slots) else "requests"
    story = Story(limit("one", 5, algorithm, unit=unit))
    for number in range(5):
        check = Check(customer="acme", app="chat", request=f"r{number}")
        assert judged(story.meeting, story.accounts, check, 0).admitted
    story.accounts[0].follow(limit("one", amount, algorithm, unit=unit), 0, story.wall)
    assert story.remaining()[0] <= amount - 5 if amount > 5 else story.remaining()[0] <= 0
    story.accounts[0].follow(limit("one", 5, algorithm, unit=unit), 0, story.wall)
    assert story.remaining()[0] <= 2


@given(kind=kinds, before=st.integers(1, 9), after=st.integers(1, 9), asked=steps)
def test_no_change_gives_more_than_what_was_left_or_the_new_limit_leaves(
    kind: AnyAlgorithm, before: int, after: int, asked: list[tuple[int, int]]
) -> None:
    story, at = Story(limit("one", before, kind)), 0
    for gap, hits in asked:
        at += gap
        story.ask(hits, at)
    left = story.remaining(at)[0]
    story.accounts[0].follow(limit("one", after, kind), at, story.wall)
    assert story.remaining(at)[0] <= max(0, after - (before - left), min(left, after))


def test_another_algorithm_or_unit_begins_anew() -> None:
    story = Story(limit("one", 5))
    assert story.ask(5).admitted
    story.accounts[0].follow(limit("one", 5, MovingWindow(period_s=60.0)), 0, story.wall)
    assert story.remaining() == [5]
    assert story.ask(5).admitted
    changed = limit("one", 5, MovingWindow(period_s=60.0), unit="tokens")
    story.accounts[0].follow(changed, 0, story.wall)
    assert story.remaining() == [5]


def limit(
    name: str,
    amount: int,
    algorithm: AnyAlgorithm = TokenBucket(period_s=60.0),  # noqa: B008  frozen
    *,
    unit: str = "requests",
    on_failure: FailureRule | OpenTo = FailureRule.OPEN,
    shadow: bool = False,
    drain: bool = False,
) -> LimitSet:
    return LimitSet(
        limit=name,
        amount=amount,
        algorithm=algorithm,
        unit=unit,
        on_failure=on_failure,
        shadow=shadow,
        drain=drain,
        at=NOON,
    )
