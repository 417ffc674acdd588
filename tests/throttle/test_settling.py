"""Checks reserve estimates, ends of requests settle them by what was used; slots end with them."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.algorithms import CalendarQuota, Every, LifetimeQuota, MovingWindow, Slots
from midstage.contracts.limits import LimitSet
from midstage.contracts.requests import Outcome, RequestCompleted
from midstage.testkit.clock import NOON
from midstage.throttle.decide.settling import ended
from midstage.throttle.model.checks import Check, Ended, Judged
from midstage.throttle.stream.gate import REMEMBERED_S, SWEPT_AT_ONCE
from tests.throttle.gated import Held, gate_over

SECOND = 1_000_000_000
TOKENS = LimitSet(
    limit="tokens", unit="tokens", amount=100, algorithm=LifetimeQuota(), debt=50, at=NOON
)
SLOTS = LimitSet(
    limit="slots", unit="concurrency", amount=2, algorithm=Slots(ttl_s=7200.0), at=NOON
)


class Story:
    """A gate over limits, and a clock that the test moves."""

    def __init__(self, *limits: LimitSet) -> None:
        self.now_ns = 0
        self.log = Held(*limits)
        self.gate, _ = gate_over(self.log, clock=lambda: self.now_ns)
        self.gate.follow()

    def asks(self, request: str, tokens: int | None = None, hits: int = 1) -> bool:
        units = {} if tokens is None else {"tokens": tokens}
        check = Check(customer="acme", app="chat", request=request, hits=hits, units=units)
        judged = self.gate.check(check, None)
        assert isinstance(judged, Judged)
        return judged.admitted

    def asks_late(self, request: str, tokens: int) -> bool:
        units = {"tokens": tokens}
        check = Check(customer="acme", app="chat", request=request, units=units)
        judged = self.gate.check(check, -1.0)
        assert isinstance(judged, Judged)
        return judged.admitted

    def ends(self, request: str, **used: int) -> None:
        self.gate.settle(Ended(request=request, customer="acme", app="chat", used=used))

    def fails(self, request: str) -> None:
        self.gate.settle(Ended(request=request, customer="acme", app="chat", as_estimated=False))

    @property
    def left(self) -> Mapping[str, int]:
        found = self.gate.left("acme", None, "")
        return {limit.limit: left.remaining for limit, left in found}

    def later(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND
        self.gate.follow()


def test_the_label_of_a_fact_says_by_which_key_a_request_came() -> None:
    fact = RequestCompleted(
        app="chat",
        customer="acme",
        status=200,
        outcome=Outcome.OK,
        duration_ms=1.0,
        labels={"key": "ci"},
    )

    assert ended("a", fact).key == "ci"


def test_less_comes_back_and_more_is_charged() -> None:
    story = Story(TOKENS)
    assert story.asks("a", 60)
    assert story.left == {"tokens": 40}
    story.ends("a", tokens=10)
    assert story.left == {"tokens": 90}
    assert story.asks("b", 10)
    story.ends("b", tokens=30)
    assert story.left == {"tokens": 60}


def test_debt_has_its_bound_and_stops_the_next() -> None:
    story = Story(TOKENS)
    assert story.asks("a", 100)
    story.ends("a", tokens=1000)
    assert story.left == {"tokens": -50}
    assert not story.asks("b")
    assert not story.asks("b", 1)


def test_without_an_estimate_one_has_to_be_left() -> None:
    story = Story(TOKENS)
    assert story.asks("a")
    story.ends("a", tokens=100)
    assert story.left == {"tokens": 0}
    assert not story.asks("b")
    assert story.asks("b", hits=0)


def test_what_is_told_twice_is_charged_once() -> None:
    story = Story(TOKENS)
    assert story.asks("a", 60)
    assert story.asks("a", 60)
    assert story.left == {"tokens": 40}
    for _ in range(3):
        story.ends("a", tokens=20)
    assert story.left == {"tokens": 80}
    assert story.asks("a", 60)
    assert story.left == {"tokens": 80}


def test_an_end_that_comes_before_its_check_leaves_nothing_to_reserve() -> None:
    story = Story(TOKENS)
    story.ends("a", tokens=30)
    assert story.asks("a", 60)
    assert story.left == {"tokens": 70}


def test_an_unknown_request_is_charged_in_full() -> None:
    story = Story(TOKENS)
    story.ends("elsewhere", tokens=30)
    assert story.left == {"tokens": 70}


def test_an_answer_whose_use_is_not_told_keeps_its_estimate_and_a_failure_gives_it_back() -> None:
    story = Story(TOKENS)
    assert story.asks("a", 60)
    story.ends("a")
    assert story.left == {"tokens": 40}
    assert story.asks("b", 40)
    story.fails("b")
    assert story.left == {"tokens": 40}


def test_what_never_ends_comes_back_when_its_time_is_up() -> None:
    story = Story(TOKENS, SLOTS)
    assert story.asks("a", 60)
    story.later(3599)
    assert story.left == {"slots": 1, "tokens": 40}
    story.later(1)
    assert story.left == {"slots": 2, "tokens": 100}


def test_a_slot_is_free_once_when_its_request_ends() -> None:
    story = Story(SLOTS)
    assert [story.asks(request) for request in ("a", "b", "c")] == [True, True, False]
    story.ends("a")
    story.ends("a")
    assert story.left == {"slots": 1}
    assert [story.asks(request) for request in ("d", "e")] == [True, False]


def test_a_refused_request_holds_nothing_and_its_end_changes_nothing() -> None:
    story = Story(TOKENS, SLOTS)
    assert not story.asks("a", 101)
    story.fails("a")
    assert story.left == {"slots": 2, "tokens": 100}


def test_what_passed_late_is_settled_like_the_rest() -> None:
    story = Story(TOKENS, SLOTS)
    assert story.asks("a", 80)
    assert story.asks_late("b", 60)
    assert story.left == {"slots": 0, "tokens": 0}
    assert story.asks_late("c", 10)
    story.ends("b", tokens=50)
    story.ends("c", tokens=0)
    assert story.left == {"slots": 1, "tokens": -30}
    story.ends("a", tokens=0)
    assert story.left == {"slots": 2, "tokens": 50}


def test_only_requests_that_are_limited_so_are_remembered() -> None:
    requests = LimitSet(limit="requests", amount=5, algorithm=LifetimeQuota(), at=NOON)
    story = Story(requests)
    assert story.asks("a")
    story.ends("a", tokens=10)
    assert story.asks("a")
    assert story.left == {"requests": 3}


def test_requests_stay_charged_whatever_is_settled() -> None:
    requests = LimitSet(limit="requests", amount=5, algorithm=LifetimeQuota(), at=NOON)
    story = Story(requests, TOKENS)
    assert story.asks("a", 60)
    story.ends("a", tokens=0)
    assert story.left == {"requests": 4, "tokens": 100}


def test_limits_may_change_while_a_request_is_under_way() -> None:
    story = Story(TOKENS)
    assert story.asks("a", 60)
    story.log.set(SLOTS)
    story.later(1)
    story.ends("a", tokens=10)
    assert story.left == {"slots": 2}
    story.log.set(TOKENS, SLOTS)
    story.later(1)
    assert story.asks("b", 60)
    story.ends("b", tokens=10)
    assert story.left == {"slots": 2, "tokens": 90}


def test_what_is_paid_afterwards_is_charged_though_its_meter_was_forgotten() -> None:
    window = LimitSet(
        limit="tokens", unit="tokens", amount=100, algorithm=MovingWindow(period_s=60.0), at=NOON
    )
    story = Story(window)
    assert story.asks("a")
    story.later(61)  # nothing is counted, so the meter is swept
    story.ends("a", tokens=30)
    assert story.left == {"tokens": 70}


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "end", "wait"]), st.integers(0, 5), st.integers(0, 60)),
        max_size=40,
    )
)
def test_what_is_left_is_what_was_reserved_and_used(told: list[tuple[str, int, int]]) -> None:
    unbounded = LimitSet(
        limit="tokens",
        unit="tokens",
        amount=10_000,
        algorithm=CalendarQuota(every=Every.YEAR),
        at=NOON,
    )
    story = Story(unbounded)
    held: dict[int, int] = {}
    over: set[int] = set()
    used = 0
    for kind, request, units in told:
        if kind == "ask":
            assert story.asks(str(request), units)
            if request not in held and request not in over:
                held[request] = units
        elif kind == "end":
            story.ends(str(request), tokens=units)
            if request not in over:
                held.pop(request, None)
                used += units
                over.add(request)
        else:
            story.later(1)
        assert story.left == {"tokens": 10_000 - used - sum(held.values())}
    assert len(told) < min(REMEMBERED_S, SWEPT_AT_ONCE)


@pytest.mark.parametrize(
    ("usage", "outcome", "used", "as_estimated"),
    [
        ({"input_tokens": 5, "output_tokens": 7.5}, "ok", {"tokens": 13}, True),
        ({"tokens": 3, "input_tokens": 5}, "ok", {"tokens": 3}, True),
        ({"images": 2}, "cancelled", {"images": 2}, True),
        ({}, "refused", {}, False),
        ({}, "error", {}, False),
        ({}, "invalid", {}, False),
    ],
)
def test_a_fact_says_what_a_request_used(
    usage: dict[str, float], outcome: str, used: dict[str, int], as_estimated: bool
) -> None:
    fact = RequestCompleted(
        app="chat",
        customer="acme",
        status=200,
        outcome=Outcome(outcome),
        duration_ms=1,
        bytes_in=3,
        bytes_out=4,
        usage=usage,
    )
    told = ended("a", fact)
    assert (told.request, told.customer, told.app) == ("a", "acme", "chat")
    assert {**told.used} == {**told.used, **used, "bytes": 7}
    assert told.as_estimated is as_estimated
