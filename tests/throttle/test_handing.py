"""Who lives leaves in order what others ask for; who waits is answered before."""

import asyncio
from collections.abc import Iterable

from midstage.contracts.spends import CustomersLeft, CustomersTaken
from midstage.testkit.clock import NOON
from midstage.throttle.stream.handing import AT_ONCE, MOST_HANDED
from midstage.throttle.stream.holdings import wanted_by
from tests.throttle.shared import Process, taken

MINE = ("me",) * 6


def test_half_of_it_is_left_to_one_that_comes() -> None:
    process = Process(*MINE)
    asks(process, "b", (5, 4, 3))
    assert handed(process) == {"me": [0, 1, 2], "b": [3, 4, 5]}
    kinds = [type(each) for each in process.hand.asked if each.partition == 5]
    assert kinds == [], "all is read back"
    assert process.kept.left == [1]


def test_it_is_left_before_the_next_one_comes() -> None:
    process = Process(*MINE)
    asks(process, "b", (5,))
    asyncio.run(process.sharing.hand_over())
    assert process.hand.asked == [
        CustomersLeft(partition=5, owner="me", epoch=1, at=NOON),
        taken(5, "b", epoch=2),
    ]
    assert process.hand.holdings.holder(5) == taken(5, "b", epoch=1), "and it is asked from now on"


def test_two_that_come_at_once_get_as_much_each() -> None:
    process = Process(*MINE)
    asks(process, "b", (5, 4, 3))
    asks(process, "c", (5, 4, 3))
    held = handed(process)
    assert {name: len(numbers) for name, numbers in held.items()} == {"me": 3, "b": 2, "c": 1}
    assert handed(process) == held, "what they asked for is over"


def test_no_more_is_left_than_is_even() -> None:
    process = Process(*MINE)
    asks(process, "b", (0, 1, 2, 3, 4, 5))
    assert len(handed(process)["me"]) == 3


def test_one_that_died_before_it_got_it_gets_nothing() -> None:
    process = Process(*MINE, silent="b")
    asks(process, "b", (5, 4, 3))
    assert handed(process) == {"me": [0, 1, 2, 3, 4, 5]}
    process.silent.clear()
    assert handed(process) == {"me": [0, 1, 2, 3, 4, 5]}, "nor is it asked for ever"
    asks(process, "c", (5,))
    assert handed(process)["c"] == [5]


def test_what_was_asked_of_someone_before_says_nothing() -> None:
    process = Process(*MINE)
    asks(process, "b", (5,))
    process.hand.holdings.heard(taken(5, "me", epoch=3))
    assert handed(process)["me"] == [0, 1, 2, 3, 4, 5]


def test_what_this_process_asked_for_itself_is_left_to_nobody() -> None:
    process = Process(*MINE)
    asks(process, "me", (5,))
    assert handed(process)["me"] == [0, 1, 2, 3, 4, 5]


def test_what_was_left_is_not_taken_again() -> None:
    """It was not lost: who asks for more soon gets it at once."""
    process = Process(*MINE)
    process.turn()
    asks(process, "b", (5, 4, 3))
    handed(process)
    process.hand.deaf = {"b"}
    process.hand.holdings.heard(taken(2, "b", epoch=5))
    process.hand.holdings.heard(taken(1, "b", epoch=5))
    process.turn()
    assert process.hand.wants == [], "but what was lost makes it patient"


def test_one_that_died_while_it_left_has_left_it_to_all() -> None:
    process = Process(*"aaabbb")
    process.started()
    for number in (0, 1):
        process.hand.holdings.heard(CustomersLeft(partition=number, owner="a", epoch=1, at=NOON))
    held = process.turn()
    assert sorted(held) == ["b", "me"]


def test_who_waits_is_answered_before_and_who_comes_is_answered_there() -> None:
    async def story() -> None:
        process = Process(*MINE)
        process.kept.waiting = 2
        asks(process, "b", (5,))
        leaving = asyncio.ensure_future(process.sharing.hand_over())
        holdings = process.hand.holdings
        async with asyncio.timeout(60):
            while (asked := holdings.answering(5)) is None or asked.owner == "me":
                await asyncio.sleep(0)
        assert asked.owner == "b"
        assert holdings.epoch(5) == 1, "it counts as long as a check waits"
        assert holdings.answering(4) == taken(4, "me", epoch=1)
        assert process.kept.left == []
        await leaving
        assert process.kept.left == [1]
        assert holdings.epoch(5) is None

    asyncio.run(story())


def test_one_that_is_taken_from_meanwhile_leaves_nothing() -> None:
    process = Process(*MINE)
    asks(process, "b", (5,))
    process.hand.holdings.give({5: taken(5, "b", epoch=1)})
    process.hand.holdings.heard(taken(5, "c", epoch=2))
    assert process.hand.holdings.answering(5) == taken(5, "c", epoch=2)
    assert handed(process) == {"me": [0, 1, 2, 3, 4], "c": [5]}


def test_many_counters_are_written_a_few_at_a_time() -> None:
    process = Process(*MINE)
    process.kept.count = AT_ONCE + 1
    asks(process, "b", (5,))
    assert handed(process)["b"] == [5]
    assert process.kept.left == [AT_ONCE, 1, AT_ONCE + 1]


def test_of_too_many_the_room_is_lost_and_no_check_is_held_up() -> None:
    process = Process(*MINE)
    process.kept.count = MOST_HANDED + 1
    asks(process, "b", (5,))
    asyncio.run(process.sharing.hand_over())
    assert [type(each) for each in process.hand.asked] == [CustomersTaken]
    process.hand.accept()
    assert process.hand.held()["b"] == [5]
    assert process.kept.left == []


def asks(process: Process, owner: str, numbers: Iterable[int]) -> None:
    """It has read that one asks for these, of who holds them now."""
    holdings = process.hand.holdings
    for number in numbers:
        held = holdings.holders()[number]
        holdings.heard(wanted_by(taken(0, owner, epoch=1), held, NOON))


def handed(process: Process) -> dict[str, list[int]]:
    """Who holds what after it has left what it is asked for."""
    asyncio.run(process.sharing.hand_over())
    process.hand.accept()
    return process.hand.held()
