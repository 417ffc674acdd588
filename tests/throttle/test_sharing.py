"""Who counts for which customers: even, with few moves, and alike for whoever reckons it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.spends import CustomersLeft
from midstage.testkit.clock import NOON
from midstage.throttle.decide.sharing import divided, handed, wanted
from midstage.throttle.stream.holdings import Holdings
from midstage.throttle.stream.sharing import HANDED_WITHIN_S, PATIENCE_S
from tests.throttle.shared import COUNT, Process, taken

NAMES = ("a", "b", "c", "d")
HELD = st.dictionaries(st.integers(0, 11), st.sampled_from(NAMES), min_size=1)


@given(HELD, st.sampled_from(NAMES))
def test_who_takes_its_share_is_nowhere_two_below_and_takes_no_more(
    held: dict[int, str], me: str
) -> None:
    taken = wanted(held, me)
    after = Counter({**held, **dict.fromkeys(taken, me)}.values())
    assert max(after.values()) - after[me] < 2 or not taken
    assert len(set(taken)) == len(taken)
    assert all(held[number] != me for number in taken)
    before = Counter(held.values())
    others = [name for name in before if name != me and after[name] != before[name]]
    assert all(before[name] > after[name] >= after[me] - 1 for name in others)


@given(HELD)
def test_when_all_take_their_share_they_come_to_rest_within_one(held: dict[int, str]) -> None:
    moves = 0
    while any(wanted(held, me) for me in NAMES):
        for me in NAMES:
            taken = wanted(held, me)
            moves += len(taken)
            held = {**held, **dict.fromkeys(taken, me)}
        assert moves <= 2 * len(held)
    counts = Counter({**dict.fromkeys(NAMES, 0), **Counter(held.values())})
    assert max(counts.values()) - min(counts.values()) <= 1


@given(HELD, st.sets(st.sampled_from(NAMES)))
def test_the_customers_of_who_is_gone_go_to_all_others(
    held: dict[int, str], gone: set[str]
) -> None:
    free = [number for number, name in held.items() if name in gone]
    living = sorted({*held.values()} - gone)
    given_ = divided(free, held, living)
    assert set(given_) == (set(free) if living else set())
    kept = Counter(name for name in held.values() if name in living)
    after = Counter({**kept}) + Counter(given_.values())
    least = min((after[name] for name in living), default=0)
    assert all(after[name] <= least + 1 for name in given_.values())


def test_the_first_takes_all() -> None:
    assert Process().started() == {"me": [0, 1, 2, 3, 4, 5]}


def test_who_comes_takes_its_share_of_those_who_have_most() -> None:
    assert Process(*"aaabbb").started() == {"a": [0, 1], "b": [3, 4], "me": [2, 5]}


def test_who_does_not_answer_at_the_start_has_nothing_any_more() -> None:
    held = Process(*"aaabbb", silent="a").started()
    assert sorted(held) == ["b", "me"]
    assert [len(each) for each in held.values()] == [3, 3]


def test_who_was_at_this_address_before_is_not_even_asked() -> None:
    process = Process(*"aabbbb")
    for number in (0, 1):
        process.hand.holdings.heard(taken(number, "before", epoch=2, address="me:1"))
    held = process.started()
    assert sorted(held) == ["b", "me"]


def test_who_does_not_leave_what_it_is_asked_for_is_taken_from() -> None:
    """It may be of the version before, which does not know what it is asked."""
    process = Process(*"aaabbb", deaf="a")
    for _ in range(3):
        assert process.turn()["me"] == [5]
    assert sorted(process.hand.wants) == [(2, "a"), (5, "b")]
    process.now_s += HANDED_WITHIN_S
    assert process.turn() == {"a": [0, 1], "b": [3, 4], "me": [2, 5]}
    assert sorted(process.hand.wants) == [(2, "a"), (5, "b")]


def test_what_is_wanted_no_more_and_then_again_is_asked_for_again() -> None:
    process = Process(*"aabbb", deaf="b")
    process.hand.holdings.heard(taken(5, "me", epoch=1))
    process.turn()
    process.hand.holdings.heard(taken(1, "me", epoch=2))
    process.turn()
    process.hand.holdings.heard(taken(1, "b", epoch=3))
    process.turn()
    process.now_s += HANDED_WITHIN_S + PATIENCE_S
    process.turn()
    assert process.hand.held()["me"] == [5]
    assert process.hand.wants == [(4, "b"), (4, "b")]


def test_who_is_asked_by_an_epoch_that_is_over_is_asked_again() -> None:
    process = Process(*"aaaaaa", deaf="a")
    process.turn()
    asked = len(process.hand.wants)
    process.hand.holdings.heard(taken(5, "a", epoch=3))
    process.now_s += HANDED_WITHIN_S / 2
    process.turn()
    assert process.hand.wants[asked:] == [(5, "a")]


@given(st.dictionaries(st.integers(0, 11), st.sets(st.sampled_from(NAMES[1:]), min_size=1)), HELD)
def test_who_leaves_what_others_want_never_has_less_than_they(
    wanted_by: dict[int, set[str]], held: dict[int, str]
) -> None:
    wanted_by = {number: names for number, names in wanted_by.items() if held.get(number) == "a"}
    given_ = handed(wanted_by, held)
    assert all(name in wanted_by[number] for number, name in given_.items())
    after = Counter({**held, **given_}.values())
    assert all(after["a"] >= after[name] - 1 for name in given_.values())
    assert not any(
        after["a"] - after[name] >= 2
        for number in wanted_by.keys() - given_.keys()
        for name in wanted_by[number]
    )


def test_what_was_taken_by_mistake_is_taken_again_but_later_each_time() -> None:
    process = Process(*"aaabbb")
    process.started()
    process.turn()
    waits = []
    for epoch in (10, 20, 30):
        for number in range(COUNT):
            process.hand.holdings.heard(taken(number, "a", epoch=epoch))
        assert "me" not in process.turn()
        waited = 0.0
        while "me" not in process.turn():
            process.now_s += PATIENCE_S / 2
            waited += PATIENCE_S / 2
        waits.append(waited)
    assert waits == [PATIENCE_S, 2 * PATIENCE_S, 4 * PATIENCE_S]


def test_one_that_is_gone_is_divided_among_the_others_at_once() -> None:
    process = Process(*"aaabbb")
    process.started()
    gone = process.hand.holdings.holder(0)
    assert gone is not None
    process.sharing.gone(gone)
    process.hand.accept()
    held = process.hand.held()
    assert sorted(held) == ["b", "me"]
    assert [len(each) for each in held.values()] == [3, 3]
    process.sharing.gone(gone)
    assert not process.hand.asked, "it holds nothing any more"


def test_a_log_that_is_away_names_nobody() -> None:
    process = Process(*"aaabbb")
    process.started()
    gone = process.hand.holdings.holder(0)
    assert gone is not None
    process.hand.is_away = True
    process.sharing.gone(gone)
    process.sharing.turn()
    assert not process.hand.asked


def test_what_is_left_is_asked_elsewhere_before_it_is_read_back() -> None:
    holdings = Holdings(taken(0, "me", epoch=1))
    holdings.heard(taken(0, "me", epoch=4))
    successor = taken(3, "b", epoch=2)
    left = holdings.left(0, successor, NOON)
    assert left == CustomersLeft(partition=0, owner="me", epoch=4, at=NOON)
    assert holdings.epoch(0) is None
    assert holdings.holder(0) == successor
    assert not holdings.is_settled()
    assert holdings.left(0, successor, NOON) is None
    holdings.heard(left)
    holdings.heard(taken(0, "b", epoch=5))
    assert holdings.is_settled()
    assert not holdings.is_free(0)
