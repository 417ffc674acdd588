"""A gate whose log of counters is in the test's hand: who waits, for how long, and who does not."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

import msgspec
from prometheus_client import CollectorRegistry

from midstage.contracts.algorithms import FixedWindow
from midstage.contracts.limits import LimitSet
from midstage.contracts.spends import Unanswered
from midstage.throttle.decide.room import SHARE
from midstage.throttle.decide.spends import Stood
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.holding import Holding
from midstage.throttle.model.later import Later
from midstage.throttle.model.limits import Key
from midstage.throttle.stream.gate import Gate
from midstage.throttle.stream.own_claims import Written
from midstage.throttle.stream.rooms import Rooms
from midstage.throttle.stream.wait_queue import PATIENCE_NS
from tests.throttle.gated import TINY, Held, limit

WITHIN_S = 60.0


class Hand:
    """A log that accepts what it was given when the test says so."""

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.stand: dict[Key, Stood] = {}
        self.gained: frozenset[int] = frozenset()
        self.held = Holding()
        self.renewed = 0
        self._accepted: list[Written] = []
        self._heard: Callable[[], None] = lambda: None

    def stood(self, key: Key) -> Stood | None:
        return self.stand.get(key)

    def unanswered(
        self, partitions: Collection[int]
    ) -> Sequence[tuple[Key, tuple[Unanswered, ...]]]:
        return [
            (key, each.unanswered)
            for key, each in self.stand.items()
            if each.unanswered and self.partition(key[1]) in partitions
        ]

    def write(self, claims: Sequence[Written]) -> None:
        self.written += claims

    def heard(self) -> tuple[Sequence[Written], frozenset[int]]:
        accepted, self._accepted = self._accepted, []
        gained, self.gained = self.gained, frozenset()
        return accepted, gained

    def partition(self, customer: str) -> int:
        return len(customer)

    def holding(self, customer: str) -> Holding:
        del customer
        return self.held

    def renew(self) -> None:
        self.renewed += 1

    def clear(self, is_new: Callable[[Key, Stood], bool]) -> None:
        for key, stood in list(self.stand.items()):
            if is_new(key, stood):
                del self.stand[key]

    def on_heard(self, call: Callable[[], None]) -> None:
        self._heard = call

    def refuse(self) -> None:
        self._accepted += [msgspec.structs.replace(each, counts=False) for each in self.written]
        self.written = []
        self._heard()

    def accept(self) -> None:
        for each in self.written:
            self.stand[each.key] = Stood(
                algorithm=each.algorithm, claim=each.claim, unanswered=each.unanswered
            )
        self._accepted, self.written = self._accepted + self.written, []
        self._heard()


class Told:
    """A gate over limits and a hand, and what its metrics say."""

    def __init__(self, hand: Hand, *facts: LimitSet, within_s: float = WITHIN_S) -> None:
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self.now_ns = time.time_ns()
        self.rooms = Rooms(spends=hand, now_ns=lambda: self.now_ns, metrics=metrics)
        self.limits = Held(*facts)
        self.gate = Gate(
            limits=self.limits,
            keeping=self.rooms,
            monotonic_ns=lambda: self.now_ns,
            wall_ns=lambda: self.now_ns,
            metrics=metrics,
            caller_timeout_s=within_s,
            late_below_s=0.0,
        )
        self.rooms.on_gained(self.gate.moving.forget)
        assert self.gate.closed() is None

    def ask(self, hits: int = 1, customer: str = "acme") -> asyncio.Future[Judged | None]:
        told: asyncio.Future[Judged | None] = asyncio.get_running_loop().create_future()
        answer = self.gate.check(Check(customer=customer, app="chat", hits=hits), None)
        if isinstance(answer, Later):
            answer.then(told.set_result)
        else:
            told.set_result(answer)
        return told

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"midstage_throttle_{name}_total", labels) or 0.0


def test_checks_wait_for_room_and_pass_together_when_the_log_has_it() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=5, rule="closed"))
        asked = [told.ask() for _ in range(7)]
        assert not any(each.done() for each in asked[:5])
        told.rooms.turn()
        assert [each.units for each in hand.written] == [5]
        hand.accept()
        told.rooms.turn()
        assert [passed(each) for each in asked] == [True] * 5 + [False] * 2
        assert told.counted("room_waited") == 7
        assert told.counted("failure_mode_allowed") == 0

    asyncio.run(story())


def test_all_that_a_turn_asks_for_goes_out_once_for_each_counter() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(
            hand,
            limit("acme", "chat", rate_per_s=5, burst=50),
            limit("acme", "*", rate_per_s=5, burst=50),
        )
        asked = [told.ask() for _ in range(3)]
        told.rooms.turn()
        assert sorted(each.key[0] for each in hand.written) == ["acme-*", "acme-chat"]
        hand.accept()
        told.rooms.turn()
        assert [passed(each) for each in asked] == [True] * 3

    asyncio.run(story())


def test_who_waited_in_vain_gets_the_failure_rule_in_time() -> None:
    async def story(rule: str, *, passes: bool) -> None:
        told = Told(
            Hand(), limit("acme", "chat", rate_per_s=TINY, burst=5, rule=rule), within_s=0.03
        )
        async with asyncio.timeout(WITHIN_S):
            answer = await told.ask()
        assert answer is not None
        assert answer.admitted is passes
        assert told.counted("without_room", rule=rule) == 1
        assert told.counted("failure_mode_allowed") == passes

    asyncio.run(story("open", passes=True))
    asyncio.run(story("closed", passes=False))


def test_nobody_waits_for_a_log_that_is_away() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=50, rule="closed"))
        first = told.ask()
        told.rooms.turn()
        told.now_ns += PATIENCE_NS + 1
        answer = told.ask()
        assert answer.done()
        assert not passed(answer)
        after = told.ask()
        assert after.done(), "it is away still"
        back = None
        for _ in range(3):  # the first claim's term is over when it is accepted
            hand.accept()
            told.rooms.turn()
            back = back or told.ask()
        assert back is not None
        assert passed(first)
        assert passed(back)

    asyncio.run(story())


def test_the_first_units_of_a_counter_wait_for_no_log_and_more_is_asked_for_in_time() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=160, rule="closed"))
        hand.held.until_ns = told.now_ns
        assert all(passed(told.ask()) for _ in range(5))
        told.rooms.turn()
        assert not hand.written, "half of it is left"
        for _ in range(100):
            assert passed(told.ask())
            told.rooms.turn()
            hand.accept()
            told.rooms.turn()
            told.now_ns += 10_000_000
            hand.held.until_ns = told.now_ns
        assert told.counted("room_waited") == 0
        assert told.counted("room_claims") < 60

    asyncio.run(story())


def test_of_a_thousand_customers_in_turn_none_waits() -> None:
    """Each comes so seldom that its bucket is full, or its window new."""

    async def story(fact: LimitSet) -> None:
        hand = Hand()
        told = Told(hand, fact)
        for _ in range(3):
            for number in range(1000):
                hand.held.until_ns = told.now_ns
                assert passed(told.ask(customer=f"customer-{number}"))
                told.now_ns += 1_000_000
            told.rooms.turn()
            hand.accept()
            told.rooms.turn()
        assert told.counted("room_waited") == told.counted("room_claims") == 0

    fact = limit("*", "chat", rate_per_s=1, burst=60, rule="closed")
    asyncio.run(story(fact))
    each_second = FixedWindow(period_s=1.0)
    asyncio.run(story(msgspec.structs.replace(fact, algorithm=each_second, amount=60)))


def test_whoever_goes_on_leaves_the_first_units_out_and_a_strict_limit_has_none() -> None:
    async def story(fact: LimitSet, *, left: int) -> None:
        hand = Hand()
        told = Told(hand, fact)
        hand.held.until_ns = hand.held.before_ns = told.now_ns
        asked = [told.ask() for _ in range(160)]
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        assert sum(passed(each) for each in asked) == left

    fact = limit("acme", "chat", rate_per_s=TINY, burst=160, rule="closed")
    asyncio.run(story(fact, left=150))
    asyncio.run(story(msgspec.structs.replace(fact, strict=True), left=160))


def test_room_that_was_taken_is_used_while_the_log_is_away() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=100, rule="closed"))
        waiting = [told.ask() for _ in range(10)]
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        assert all(passed(each) for each in waiting)
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        used = sum(answer.done() and passed(answer) for answer in [told.ask() for _ in range(50)])
        assert used == -(-90 // SHARE)

    asyncio.run(story())


def test_a_new_process_goes_on_where_the_log_stands() -> None:
    async def story() -> None:
        hand = Hand()
        fact = limit("acme", "chat", rate_per_s=TINY, burst=5, rule="closed")
        first = Told(hand, fact)
        used = [first.ask() for _ in range(3)]
        first.rooms.turn()
        hand.accept()
        first.rooms.turn()
        assert all(passed(each) for each in used)
        second = Told(hand, fact)
        asked = [second.ask() for _ in range(5)]
        second.rooms.turn()
        hand.accept()
        second.rooms.turn()
        assert [passed(each) for each in asked] == [True, True, False, False, False]

    asyncio.run(story())


def test_who_counts_again_goes_on_where_the_other_one_stopped() -> None:
    async def story() -> None:
        hand = Hand()
        fact = limit("acme", "chat", rate_per_s=TINY, burst=5, rule="closed")
        first, second = Told(hand, fact), Told(hand, fact)
        for told in (first, second):
            used = [told.ask(), told.ask()]
            told.rooms.turn()
            hand.accept()
            told.rooms.turn()
            assert all(passed(each) for each in used)
        hand.gained = frozenset({len("acme")})
        first.rooms.turn()
        asked = [first.ask() for _ in range(3)]
        first.rooms.turn()
        hand.accept()
        first.rooms.turn()
        assert [passed(each) for each in asked] == [True, False, False]

    asyncio.run(story())


def test_a_claim_that_counts_for_nobody_is_made_again() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=5, rule="closed"))
        asked = told.ask()
        told.rooms.turn()
        hand.refuse()
        told.rooms.turn()
        assert not asked.done()
        again = told.ask()
        told.rooms.turn()
        hand.accept()
        told.rooms.turn()
        assert passed(asked)
        assert passed(again)

    asyncio.run(story())


def test_a_real_refusal_waits_for_nothing() -> None:
    async def story() -> None:
        hand = Hand()
        told = Told(hand, limit("acme", "chat", rate_per_s=TINY, burst=5))
        answer = told.ask(hits=6)
        assert answer.done()
        assert not passed(answer)
        assert not hand.written

    asyncio.run(story())


def passed(answer: asyncio.Future[Judged | None]) -> bool:
    judged = answer.result()
    assert judged is not None
    return judged.admitted
