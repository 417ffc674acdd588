"""Whoever counts, dies, comes late or is replaced: never more requests at once than the limit.

The truth is the requests that were let in, have not ended and whose time is not up. Their ends are
told to whoever is picked: lost, late, twice, to one who is replaced, or before anybody counts.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.claims.slots import SlotClaims
from midstage.throttle.decide.meters.slots import Slots
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.slot_room import SlotRoom
from midstage.throttle.model.account import Settlement

MS = 1_000_000
SECOND = 1_000 * MS
TTL_NS = 20 * SECOND
KEY = ("limit", "acme", "")


@dataclass(slots=True, kw_only=True)
class Owner:
    """A process that counts one customer under one limit, and what it sent that is under way."""

    room: SlotRoom
    sent: list[Standing] = field(default_factory=list)


class Crashes(RuleBasedStateMachine):
    """``log`` is what stands; a replaced owner's records come to nothing."""

    claims = SlotClaims()

    @initialize(limit=st.sampled_from([1, 2, 5, 40]))
    def begun(self, limit: int) -> None:
        self.now = 10**18
        self.limit = limit
        self.under_way: dict[str, int] = {}
        self.ended: list[str] = []
        self.asked = 0
        self.log: list[Standing] = []
        self.zombies: list[Owner] = []
        self.owner = self._started()

    @rule(ms=st.one_of(st.integers(0, 400), st.integers(0, 9000)))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS

    @rule(times=st.integers(1, 8), named=st.booleans())
    def requests_come(self, times: int, named: bool) -> None:
        for _ in range(times):
            self._ask(self.owner, named=named)

    @rule(pick=st.integers(0, 9))
    def a_replaced_owner_is_asked(self, pick: int) -> None:
        if self.zombies:
            self._ask(self.zombies[pick % len(self.zombies)], named=True)

    @rule(pick=st.integers(0, 99))
    def a_request_asks_again(self, pick: int) -> None:
        known = [request for request in self.under_way if not request.startswith("-")]
        if known:
            request = known[pick % len(known)]
            self.owner.room.take(1, self.now, request)

    @rule(pick=st.integers(0, 99))
    def a_check_is_made_undone(self, pick: int) -> None:
        request = f"undone {pick}"
        if self.owner.room.take(1, self.now, request):
            self.owner.room.undo(1, request)

    @rule(pick=st.integers(0, 99), is_told=st.booleans())
    def a_request_ends(self, pick: int, is_told: bool) -> None:
        if not self.under_way:
            return
        request = list(self.under_way)[pick % len(self.under_way)]
        del self.under_way[request]
        self.ended.append(request)
        if is_told:
            self._tell(self.owner, request)

    @rule(pick=st.integers(0, 99), whom=st.integers(0, 9))
    def an_end_is_told(self, pick: int, whom: int) -> None:
        owners = [self.owner, *self.zombies]
        if self.ended:
            self._tell(owners[whom % len(owners)], self.ended[pick % len(self.ended)])

    @rule()
    def what_is_asked_for_is_sent(self) -> None:
        self._send(self.owner)

    @rule()
    def a_sweep_comes(self) -> None:
        self.owner.room.untouched(self.now)

    @rule()
    def the_log_takes_it_and_says_so(self) -> None:
        for claim in self._appended(self.owner):
            self.owner.room.accepted(claim)

    @rule()
    def what_is_asked_for_is_sent_and_the_log_says_so(self) -> None:
        self.what_is_asked_for_is_sent()
        self.the_log_takes_it_and_says_so()

    @rule(is_taken=st.booleans())
    def the_owner_dies(self, is_taken: bool) -> None:
        if is_taken:
            self._appended(self.owner)
        self.owner = self._started()

    @rule(is_taken=st.booleans())
    def another_one_takes_over(self, is_taken: bool) -> None:
        if is_taken:
            self._appended(self.owner)
        self.zombies.append(self.owner)
        self.owner = self._started()

    @rule()
    def another_one_is_handed_over_to(self) -> None:
        """In order: nothing is lost."""
        before = self.owner.room
        last = before.last(self.now)
        self._appended(self.owner)
        self.log += [last] if last else []
        assert not before.take(1, self.now, "after the last claim")
        self.zombies.append(self.owner)
        self.owner = self._started()
        after = self.owner.room
        assert after.remaining(self.now) == before.remaining(self.now)
        for request in self.under_way:
            assert after.meter.has(request) == before.meter.has(request)

    @invariant()
    def a_successor_never_has_more(self) -> None:
        if not hasattr(self, "log"):
            return
        rooms = [self.owner.room, *(each.room for each in self.zombies)]
        room = sum(max(0, each.left(self.now)) for each in rooms)
        free = self.limit - len(self._known())
        assert self._restored().remaining(self.now) + room <= free
        assert self.owner.room.remaining(self.now) <= free, "somebody's slot was freed"

    def _ask(self, owner: Owner, *, named: bool) -> None:
        self.asked += 1
        request = f"request {self.asked}" if named else ""
        if owner.room.take(1, self.now, request):
            self.under_way[request or f"-{self.asked}"] = self.now + TTL_NS
            assert len(self._known()) <= self.limit, "more at once than the limit allows"
        elif owner.room.lacks(1, self.now):
            owner.room.wait_for(1)

    def _tell(self, owner: Owner, request: str) -> None:
        done = Settlement(reserved=1, actual=0, taken_ns=0, now_ns=self.now, request=request)
        owner.room.settle(done)

    def _known(self) -> dict[str, int]:
        """Who is under way within its time."""
        self.under_way = {r: until for r, until in self.under_way.items() if until > self.now}
        return self.under_way

    def _send(self, owner: Owner) -> None:
        if (claimed := owner.room.claim(self.now)) is not None:
            owner.sent.append(claimed[1])

    def _appended(self, owner: Owner) -> list[Standing]:
        sent, owner.sent = owner.sent, []
        self.log += sent
        return sent

    def _restored(self) -> Slots:
        meter = Slots(limit=self.limit, ttl_ns=TTL_NS, now_ns=self.now)
        if self.log:
            self.claims.restore(meter, self.log[-1], self.now)
        return meter

    def _started(self) -> Owner:
        room = SlotRoom(
            self._restored(),
            self.claims,
            key=KEY,
            algorithm="slots",
            now_ns=self.now,
            asked=_nobody,
        )
        return Owner(room=room)


class Gifts(Crashes):
    """Whoever begins takes what was ahead for not given."""

    class _Forgetful(SlotClaims):
        def restore(self, meter: Slots, claim: Standing, now_ns: int) -> None:
            super().restore(meter, (*claim[:3], 0, *claim[4:]), now_ns)

    claims = _Forgetful()


class Reused(Crashes):
    """What is free again may be given again without a claim: a successor frees it once more."""

    class _Replenished(SlotClaims):
        def room(self, meter: Slots, claim: Standing, now_ns: int) -> int:
            taken = meter.limit - meter.remaining(now_ns)
            named = (len(claim) - 6) // 2 - claim[5]
            return claim[3] + named - taken if meter.at_ns <= claim[1] else 0

    claims = _Replenished()


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_without_what_is_ahead_more_are_let_in() -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Gifts,
            settings=settings(
                max_examples=500, deadline=None, derandomize=True, phases=[Phase.generate]
            ),
        )


def test_an_end_that_two_owners_hear_of_frees_one_slot() -> None:
    heard_twice(Crashes())
    with pytest.raises(AssertionError, match="slot was freed"):
        heard_twice(Reused())


def heard_twice(story: Crashes) -> None:
    """The second time by a successor; the first owner would have given the slot once more."""
    story.begun(limit=2)
    story.requests_come(times=1, named=True)
    story.what_is_asked_for_is_sent_and_the_log_says_so()
    story.requests_come(times=1, named=True)
    story.time_passes(ms=400)
    story.a_sweep_comes()
    story.what_is_asked_for_is_sent_and_the_log_says_so()
    [request] = story.under_way
    story.a_request_ends(pick=0, is_told=True)
    story.requests_come(times=1, named=True)
    story.another_one_takes_over(is_taken=True)
    assert story.owner.room.meter.has(request)
    story.an_end_is_told(pick=0, whom=0)
    story.a_successor_never_has_more()


def _nobody(_: Room[Slots]) -> None:
    """The machine looks for itself what is asked for."""
