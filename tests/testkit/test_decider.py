"""The given/when/then sentences hold where they should and fail where they should."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from midstage.contracts.errors import RefusedError
from midstage.testkit.decider import Decider


@dataclass(frozen=True)
class Paid:
    amount: int


def decide(balance: int, amount: int) -> Sequence[Paid]:
    if amount > balance:
        raise RefusedError(f"{amount} is more than the balance of {balance}")
    return [Paid(amount)] if amount else []


def evolve(balance: int, fact: Paid) -> int:
    return balance - fact.amount


account = Decider(initial=10, decide=decide, evolve=evolve)


def test_facts_follow_from_the_past_and_the_command() -> None:
    account.given(Paid(3)).when(7).then(Paid(7))
    account.given().when(0).then_nothing()
    account.given(Paid(3)).when(2).then_state(5)


def test_a_refusal_is_found_by_its_text() -> None:
    account.given(Paid(3)).when(8).then_refused("more than the balance of 7")


@pytest.mark.parametrize(
    "sentence",
    [
        lambda: account.given().when(7).then(Paid(6)),
        lambda: account.given().when(7).then(),
        lambda: account.given().when(7).then_nothing(),
        lambda: account.given().when(7).then_refused("."),
        lambda: account.given().when(7).then_state(10),
        lambda: account.given().when(11).then(Paid(11)),
        lambda: account.given().when(11).then_nothing(),
        lambda: account.given().when(11).then_refused("no such words"),
    ],
)
def test_a_wrong_sentence_fails(sentence: object) -> None:
    assert callable(sentence)
    with pytest.raises(AssertionError):
        sentence()


def test_a_refusal_does_not_hide_another_error() -> None:
    def crashes(balance: int, amount: int) -> Sequence[Paid]:
        return [Paid(amount // (balance - 10))]

    broken = Decider(initial=10, decide=crashes, evolve=evolve)
    with pytest.raises(ZeroDivisionError):
        broken.given().when(1).then_nothing()
