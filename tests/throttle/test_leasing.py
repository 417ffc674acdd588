"""Parts of a limit lent to several: never more than there is, and what is there is lent."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.throttle.decide.leasing import Apportioning, Asking, Leases, granted

TERM = 100


def leases(capacity: int, how: Apportioning = Apportioning.FAIR_SHARE) -> Leases:
    return Leases(capacity=Fraction(capacity), apportioning=how, term_ns=TERM)


def asking(holder: str, wants: int, holders: int = 1) -> Asking:
    return Asking(holder=holder, wants=Fraction(wants), holders=holders)


def test_who_comes_late_gets_what_is_free_and_its_share_when_the_others_ask_again() -> None:
    lent = leases(120)
    assert granted(lent.ask(asking("a", 200), 0)) == 120
    assert granted(lent.ask(asking("b", 200), 0)) == 0
    assert granted(lent.ask(asking("a", 200), 1)) == 60
    assert granted(lent.ask(asking("b", 200), 1)) == 60


def test_the_lease_of_a_holder_that_died_comes_back_after_its_term() -> None:
    lent = leases(10)
    lent.ask(asking("dead", 10), 0)
    assert granted(lent.ask(asking("next", 10), TERM - 1)) == 0
    assert granted(lent.ask(asking("next", 10), TERM)) == 10


def test_what_is_given_back_can_be_lent_at_once() -> None:
    lent = leases(10)
    lent.ask(asking("a", 10), 0)
    lent.give_back("a")
    assert granted(lent.ask(asking("b", 10), 0)) == 10


def test_parts_of_units_stay_with_the_owner() -> None:
    lent = leases(10)
    for _ in range(2):
        shares = [granted(lent.ask(asking(holder, 9), 0)) for holder in "abc"]
    assert shares == [3, 3, 3]


questions = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 300), st.integers(1, 5), st.integers(0, 60)),
    min_size=1,
    max_size=40,
)
BOUNDED = st.sampled_from([Apportioning.FAIR_SHARE, Apportioning.PROPORTIONAL_SHARE])


@settings(deadline=None, max_examples=100)
@given(how=BOUNDED, capacity=st.integers(0, 200), asked=questions)
def test_what_is_outstanding_never_exceeds_the_capacity(
    how: Apportioning, capacity: int, asked: list[tuple[int, int, int, int]]
) -> None:
    lent, now = leases(capacity, how), 0
    for holder, wants, holders, gap in asked:
        now += gap
        lease = lent.ask(asking(str(holder), wants, holders), now)
        assert 0 <= lease.has <= wants
        assert lent.outstanding <= capacity


def shared(how: Apportioning, capacity: int, wants: list[int]) -> list[Fraction]:
    """What each has when all have asked twice: the second time all are known."""
    lent = leases(capacity, how)
    for _ in range(2):
        got = [lent.ask(asking(str(n), each), 0).has for n, each in enumerate(wants)]
    return got


WANTS = st.lists(st.integers(1, 300), min_size=1, max_size=5)


@settings(max_examples=60)
@given(WANTS)
def test_a_capacity_that_is_enough_is_lent_as_it_is_wanted(wants: list[int]) -> None:
    assert shared(Apportioning.PROPORTIONAL_SHARE, sum(wants), wants) == wants
    assert shared(Apportioning.FAIR_SHARE, sum(wants[:3]), wants[:3]) == wants[:3]


def test_fair_shares_are_found_in_two_rounds() -> None:
    """As Doorman's are: what the third and further ones would still give stays with the owner."""
    lent = shared(Apportioning.FAIR_SHARE, 33, [1, 9, 11, 12])
    assert lent == [1, 9, 11, Fraction(23, 2)]


@settings(max_examples=60)
@given(how=BOUNDED, wants=WANTS, capacity=st.integers(1, 1_000))
def test_everybody_gets_an_equal_share_or_what_is_wanted(
    how: Apportioning, wants: list[int], capacity: int
) -> None:
    equal = Fraction(capacity, len(wants))
    lent = leases(capacity, how)
    for _ in range(len(wants) + 1):  # who has too much gives it back when it asks again
        for n, each in enumerate(wants):
            lent.ask(asking(str(n), each), 0)
    for n, each in enumerate(wants):
        assert lent.of(str(n)).has >= min(Fraction(each), equal)


def test_nobody_gets_more_than_it_wants() -> None:
    lent = leases(11)
    for holder, wants in (("a", 1), ("b", 4), ("c", 5)):
        lent.ask(asking(holder, wants), 0)
    assert lent.ask(asking("c", 5), 0).has == 5
