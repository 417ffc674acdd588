"""A strict limit at a gate whose log is in the test's hand: nobody passes before the log has it."""

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from midstage.contracts.algorithms import LifetimeQuota
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.testkit.clock import NOON
from midstage.throttle.decide.strict import NAMED_NS
from midstage.throttle.model.checks import NOTHING, Check, Ended, Judged
from midstage.throttle.model.later import Later
from midstage.throttle.model.leases import Wanted
from midstage.throttle.stream.wait_queue import PATIENCE_NS
from tests.throttle.gated import TINY, limit
from tests.throttle.test_rooms import WITHIN_S, Hand, Told, passed

Answer = asyncio.Future[Judged | None]


def strict(
    amount: int = 5, *, name: str = "budget", rule: str = "closed", unit: str = "requests"
) -> LimitSet:
    return LimitSet(
        limit=name,
        customer="acme",
        amount=amount,
        unit=unit,
        algorithm=LifetimeQuota(),
        on_failure=FailureRule(rule),
        strict=True,
        at=NOON,
    )


def ask(told: Told, request: str = "", units: Mapping[str, int] = NOTHING) -> Answer:
    answered: Answer = asyncio.get_running_loop().create_future()
    check = Check(customer="acme", app="chat", request=request, units=units)
    answer = told.gate.check(check, None)
    if isinstance(answer, Later):
        answer.then(answered.set_result)
    else:
        answered.set_result(answer)
    return answered


def takes(told: Told, hand: Hand) -> None:
    """The log takes what there is, and says so."""
    told.rooms.turn()
    hand.accept()
    told.rooms.turn()


def left(told: Told) -> int:
    ((_, found),) = told.gate.left("acme", "chat", "")
    return found.remaining


def follows(told: Told, hand: Hand) -> None:
    """It counts for the customer from here on."""
    hand.gained = frozenset({hand.partition("acme")})
    told.rooms.turn()


def test_who_passes_is_told_when_the_log_has_it_and_all_together() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, strict())
        first = ask(told, "first")
        told.rooms.turn()
        rest = [ask(told, f"next-{number}") for number in range(6)]
        told.rooms.turn()
        assert [each.claim for each in hand.written] == [(1,)], "one at a time"
        assert not first.done()
        assert [each.done() for each in rest] == [False] * 4 + [True] * 2
        assert not any(passed(each) for each in rest[4:]), "five are taken"
        hand.accept()
        told.rooms.turn()
        assert passed(first)
        assert not any(each.done() for each in rest[:4])
        assert [(each.units, each.claim) for each in hand.written] == [(0, (5,))]
        named = [[one.request for one in each.unanswered] for each in hand.written]
        assert named == [["next-0", "next-1", "next-2", "next-3"]]
        hand.accept()
        told.rooms.turn()
        assert all(passed(each) for each in rest[:4])
        told.rooms.turn()
        assert not hand.written, "nothing is taken ahead"
        assert told.registry.get_sample_value("midstage_throttle_strict_seconds_count") == 5

    asyncio.run(story())


def test_whose_time_is_up_gets_the_failure_rule_and_what_it_took_goes_back() -> None:
    async def story(rule: str, *, passes: bool) -> None:
        hand = Hand()
        told = Told(hand, strict(rule=rule), within_s=0.03)
        answer = ask(told, "slow")
        told.rooms.turn()
        async with asyncio.timeout(WITHIN_S):
            judged = await answer
        assert judged is not None
        assert judged.admitted is passes
        assert left(told) == (4 if passes else 5)
        assert told.counted("failure_mode_allowed") == passes
        assert told.counted("without_room", rule=rule) == 1
        takes(told, hand)
        hand.accept()
        (stood,) = hand.stand.values()
        assert (stood.claim, stood.unanswered) == ((1,) if passes else (0,), ())
        after = Told(hand, strict(rule=rule))
        assert left(after) == left(told)

    asyncio.run(story("closed", passes=False))
    asyncio.run(story("open", passes=True))


def test_nobody_waits_for_a_log_that_is_away() -> None:
    async def story() -> None:
        told = Told(Hand(), strict())
        first = ask(told, "first")
        told.rooms.turn()
        told.now_ns += PATIENCE_NS + 1
        second = ask(told, "second")
        assert not passed(second)
        assert not first.done()
        assert left(told) == 4, "the first one's"

    asyncio.run(story())


@pytest.mark.parametrize("name", ["also", "zeta"])
def test_with_other_limits_it_is_one_step(name: str) -> None:
    """What only lacks room of another limit takes nothing of the strict one meanwhile."""

    async def story() -> None:
        hand = Hand()
        other = msgspec.structs.replace(
            limit("acme", "chat", rate_per_s=TINY, burst=2, rule="closed"), limit=name
        )
        told = Told(hand, strict(), other)
        asked = [ask(told, f"{number}") for number in range(3)]
        assert not any(each.done() for each in asked)
        told.rooms.turn()
        assert [each.key[0] for each in hand.written] == [name]
        hand.accept()
        told.rooms.turn()
        assert not any(each.done() for each in asked[:2]), "it has room, and not what it took"
        assert not passed(asked[2])
        assert sorted(each.key[0] for each in hand.written if each.units == 0) == ["budget"]
        hand.accept()
        told.rooms.turn()
        assert all(passed(each) for each in asked[:2])
        assert {each.key[0]: each.claim[0] for each in hand.written if each.units == 0} == {}

    asyncio.run(story())


def test_two_strict_limits_are_both_waited_for() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, strict(), strict(1, name="once"))
        one, two = ask(told, "one"), ask(told, "two")
        assert two.done()
        assert not passed(two)
        told.rooms.turn()
        first, second = hand.written
        hand.written = [first]
        hand.accept()
        told.rooms.turn()
        assert not one.done()
        hand.written = [second]
        hand.accept()
        told.rooms.turn()
        assert passed(one)
        assert [each.claim for each in hand.stand.values()] == [(1,), (1,)]

    asyncio.run(story())


def test_a_successor_gives_back_what_a_fact_says_never_passed() -> None:
    async def story() -> None:
        hand = Hand()
        first = Told(hand, strict())
        done = ask(first, "done")
        takes(first, hand)
        assert passed(done)
        cut_off = [ask(first, "refused"), ask(first, "passed"), ask(first, "silent")]
        first.rooms.turn()
        hand.accept()  # and it dies before it knows
        second = Told(hand, strict())
        asked: list[tuple[frozenset[str], int]] = []
        second.rooms.on_gained(
            second.gate.moving.forget,
            look_back=lambda who, since: asked.append((frozenset(who), since)),
        )
        follows(second, hand)
        assert asked == [(frozenset({"refused", "passed", "silent"}), first.now_ns)]
        assert left(second) == 1
        for _ in range(2):
            second.gate.settle(ended("refused", passes=False))
            second.gate.settle(ended("passed"))
            second.gate.settle(ended("done", passes=False))
        second.gate.settle(ended("silent", passes=False, customer="bolt"))
        assert left(second) == 2
        takes(second, hand)
        (stood,) = hand.stand.values()
        assert stood.claim == (3,)
        assert {each.request for each in stood.unanswered} == {"silent"}
        assert not any(each.done() for each in cut_off)

    asyncio.run(story())


def test_who_was_named_too_long_ago_is_not_looked_for() -> None:
    async def story() -> None:
        hand = Hand()
        first = Told(hand, strict())
        ask(first, "old")
        takes(first, hand)
        second = Told(hand, strict())
        second.now_ns = first.now_ns + NAMED_NS
        asked: list[int] = []
        second.rooms.on_gained(
            second.gate.moving.forget, look_back=lambda _, since: asked.append(since)
        )
        follows(second, hand)
        second.gate.settle(ended("old", passes=False))
        assert (asked, left(second)) == ([], 4)

    asyncio.run(story())


def test_of_other_units_a_successor_settles_what_was_estimated() -> None:
    async def story() -> None:
        hand = Hand()
        first = Told(hand, strict(1000, unit="tokens"))
        ask(first, "long", {"tokens": 400})
        takes(first, hand)
        again = ask(first, "cut off", {"tokens": 300})
        first.rooms.turn()
        hand.accept()
        assert not again.done()
        second = Told(hand, strict(1000, unit="tokens"))
        follows(second, hand)
        assert left(second) == 300
        for _ in range(2):
            second.gate.settle(ended("cut off", used={"tokens": 50}))
        assert left(second) == 550

    asyncio.run(story())


def test_who_asks_a_successor_again_is_settled_as_that_one_took_it() -> None:
    async def story() -> None:
        hand = Hand()
        first = Told(hand, strict(1000, unit="tokens"))
        ask(first, "again", {"tokens": 300})
        first.rooms.turn()
        hand.accept()
        second = Told(hand, strict(1000, unit="tokens"))
        follows(second, hand)
        asked = ask(second, "again", {"tokens": 300})
        takes(second, hand)
        assert passed(asked)
        assert left(second) == 400, "nobody knows that it is the same"
        second.gate.settle(ended("again", used={"tokens": 50}))
        assert left(second) == 650

    asyncio.run(story())


def test_a_request_that_asks_twice_at_once_is_told_when_the_log_has_it() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, strict(1000, unit="tokens"))
        asked = [ask(told, "same", {"tokens": 400}) for _ in range(2)]
        assert not any(each.done() for each in asked)
        takes(told, hand)
        assert all(passed(each) for each in asked)
        assert left(told) == 600

    asyncio.run(story())


def test_a_limit_that_becomes_strict_goes_on_where_it_is() -> None:
    async def story() -> None:
        hand = Hand()
        loose = msgspec.structs.replace(strict(), strict=False)
        told = Told(hand, loose)
        used = ask(told)
        takes(told, hand)
        assert passed(used)
        told.limits.set(strict())
        told.gate.follow()
        asked = ask(told, "strictly")
        assert not asked.done()
        takes(told, hand)
        assert passed(asked)
        assert [each.claim for each in hand.stand.values()] == [(2,)]
        told.limits.set(loose)
        told.gate.follow()
        again = ask(told)
        takes(told, hand)
        assert passed(again)
        assert left(told) == 2

    asyncio.run(story())


def test_what_counts_for_nobody_lets_nobody_pass() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, strict(), within_s=0.03)
        answer = ask(told, "late")
        told.rooms.turn()
        hand.refuse()
        told.rooms.turn()
        async with asyncio.timeout(WITHIN_S):
            judged = await answer
        assert judged is not None
        assert not judged.admitted

    asyncio.run(story())


def test_it_is_not_lent() -> None:
    async def story() -> None:
        fact = msgspec.structs.replace(limit("acme", "chat", rate_per_s=10, burst=100), strict=True)
        told = Told(Hand(), fact)
        lent = told.gate.lending.lend(
            Wanted(holder="sdk", customer="acme", apps={"chat": {"requests": 10}}, holding=0)
        )
        assert lent is not None
        assert not isinstance(lent, Later)
        assert "strict" in lent.per_check["chat"][0]

    asyncio.run(story())


def ended(
    request: str,
    *,
    passes: bool = True,
    customer: str = "acme",
    used: Mapping[str, int] = NOTHING,
) -> Ended:
    return Ended(
        request=request,
        customer=customer,
        app="chat",
        used=used,
        as_estimated=passes,
        passed=passes,
    )
