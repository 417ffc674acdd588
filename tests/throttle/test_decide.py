"""Commands about limits become facts, or are refused."""

from midstage.contracts.limits import FailureRule, LimitFact, LimitRemoved, LimitSet
from midstage.testkit.clock import NOON
from midstage.testkit.decider import Decider
from midstage.throttle.decide.limits import decide, evolve
from midstage.throttle.model.limits import Command, RemoveLimit, SetLimit, Slot

throttle: Decider[Slot, Command, LimitFact] = Decider(initial=Slot(), decide=decide, evolve=evolve)


def test_a_limit_is_set_with_who_and_why() -> None:
    throttle.given().when(wanted(5.0, burst=10)).then(limited(5.0, burst=10))


def test_a_limit_that_stands_is_replaced() -> None:
    throttle.given(limited(5.0, burst=10)).when(wanted(7.0, burst=3)).then(limited(7.0, burst=3))
    throttle.given(limited(5.0, burst=10)).when(wanted(7.0, burst=3)).then_state(
        Slot(standing=limited(7.0, burst=3))
    )


def test_a_limit_that_stands_can_be_removed() -> None:
    throttle.given(limited(5.0, burst=10)).when(removal()).then(removed())
    throttle.given(limited(5.0, burst=10)).when(removal()).then_state(Slot())


def test_what_does_not_stand_can_not_be_removed() -> None:
    throttle.given().when(removal()).then_refused("no limit 'acme-chat'")
    throttle.given(limited(5.0, burst=10), removed()).when(removal()).then_refused("no limit")


def test_a_removed_limit_can_be_set_again() -> None:
    throttle.given(limited(5.0, burst=10), removed()).when(wanted(2.0, burst=4)).then(
        limited(2.0, burst=4)
    )


def wanted(rate_per_s: float, *, burst: int) -> SetLimit:
    return SetLimit(
        limit="acme-chat",
        customer="acme",
        app="chat",
        rate_per_s=rate_per_s,
        burst=burst,
        on_failure=FailureRule.CLOSED,
        by="ann",
        why="trial",
        at=NOON,
    )


def limited(rate_per_s: float, *, burst: int) -> LimitSet:
    return LimitSet(
        limit="acme-chat",
        customer="acme",
        app="chat",
        rate_per_s=rate_per_s,
        burst=burst,
        on_failure=FailureRule.CLOSED,
        by="ann",
        why="trial",
        at=NOON,
    )


def removal() -> RemoveLimit:
    return RemoveLimit(limit="acme-chat", by="ann", why="over", at=NOON)


def removed() -> LimitRemoved:
    return LimitRemoved(limit="acme-chat", by="ann", why="over", at=NOON)
