"""Whoever counts, dies, comes late or is replaced: never more is admitted than the bucket allows.

The reference is one exact bucket that sees every admission of every owner and must let it pass. It
begins full and is never told of claims: so what passes it keeps burst + rate x time in any window.
Each owner uses the implied part of the bucket as long as the log has heard it say so, even when it
is replaced.
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
from midstage.throttle.decide.claims.levels import BucketClaims
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.decide.room import TERM_NS, Room
from midstage.throttle.model.account import Settlement
from midstage.throttle.model.holding import Holding

MS = 1_000_000
KEY = ("limit", "acme", "")
BUCKET_CLAIMS = BucketClaims()
SECOND = 1_000_000_000
TOKEN = 1_000_000 * SECOND
"""Parts of a token where rates are millionths a second."""
RATES = st.sampled_from([1, 1_000_000, 50_000_000, 3_333_333, 1_000_000_000])
BURSTS = st.sampled_from([1, 2, 10, 100])


@dataclass(slots=True, kw_only=True)
class Owner:
    """A process that counts one customer under one limit, and what it sent that is under way."""

    room: Room[TokenBucket]
    holding: Holding
    asked: bool = False
    sent: list[Standing] = field(default_factory=list)
    replaced: bool = False


class Crashes(RuleBasedStateMachine):
    """``log`` is what stands; a replaced owner's records come to nothing."""

    @initialize(rate=RATES, burst=BURSTS)
    def begun(self, rate: int, burst: int) -> None:
        self.now = 10**18
        self.rate, self.burst = rate, burst
        self.reference = TokenBucket(units=rate, period_ns=TOKEN, burst=burst, now_ns=self.now)
        self.log: list[Standing] = []
        self.zombies: list[Owner] = []
        self.implied_ns = 0
        self.owner = self._started()

    @rule(ms=st.integers(0, 3000))
    def time_passes(self, ms: int) -> None:
        self.now += ms * MS

    @rule(units=st.integers(0, 12), times=st.integers(1, 8))
    def checks_come(self, units: int, times: int) -> None:
        for _ in range(times):
            self._check(self.owner, units)

    @rule(units=st.integers(1, 12), pick=st.integers(0, 9))
    def a_replaced_owner_is_asked(self, units: int, pick: int) -> None:
        if self.zombies:
            self._check(self.zombies[pick % len(self.zombies)], units)

    @rule()
    def what_is_asked_for_is_sent(self) -> None:
        self._send(self.owner)

    @rule(pick=st.integers(0, 9))
    def a_replaced_owner_sends(self, pick: int) -> None:
        if self.zombies:
            self._send(self.zombies[pick % len(self.zombies)])

    @rule()
    def the_log_takes_it_and_says_so(self) -> None:
        for claim in self._appended(self.owner):
            self.owner.room.accepted(claim)

    @rule()
    def the_log_takes_it_and_the_owner_dies(self) -> None:
        self._appended(self.owner)
        self.owner = self._started()

    @rule()
    def the_owner_dies(self) -> None:
        self.owner = self._started()

    @rule()
    def another_one_takes_over(self) -> None:
        self.owner.replaced = True
        self.zombies.append(self.owner)
        self.owner = self._started()

    @rule(ms=st.integers(0, 6000))
    def it_says_how_long_it_uses_what_is_implied(self, ms: int) -> None:
        self.owner.holding.until_ns = max(self.owner.holding.until_ns, self.now + ms * MS)
        self.implied_ns = max(self.implied_ns, self.owner.holding.until_ns)

    @rule(is_told=st.booleans())
    def another_one_is_handed_over_to(self, is_told: bool) -> None:
        """In order: what the first one sent is in the log, and nothing is lost but a fraction."""
        last = self.owner.room.last(self.now)
        claims = [*self._appended(self.owner), *([last] if last else [])]
        self.log += [last] if last else []
        for claim in claims if is_told else ():
            self.owner.room.accepted(claim)
        self.owner.holding.until_ns = 0
        self.implied_ns = self.owner.holding.before_ns
        assert self.owner.room.left(self.now) <= 0
        assert not self.owner.room.take(1, self.now)
        self.owner.room.meter.fill(self.now)
        assert self.owner.room.meter.level - self._restored().level < TOKEN
        self.another_one_takes_over()

    @rule(units=st.integers(0, 5))
    def a_check_is_made_undone(self, units: int) -> None:
        room = self.owner.room
        if room.take(units, self.now):
            room.undo(units)

    @invariant()
    def a_successor_never_has_more(self) -> None:
        if not hasattr(self, "log"):
            return
        rooms = [self.owner.room, *(each.room for each in self.zombies)]
        room = sum(max(0, each.left(self.now)) for each in rooms)
        self.reference.fill(self.now)
        assert self._restored().level + room * TOKEN <= self.reference.level

    def _check(self, owner: Owner, units: int) -> None:
        if owner.room.take(units, self.now):
            assert self.reference.take(units, self.now), "more than the limit allows"
        elif owner.room.lacks(units, self.now):
            owner.room.wait_for(units)

    def _send(self, owner: Owner) -> None:
        if owner.asked and (claimed := owner.room.claim(self.now)) is not None:
            owner.sent.append(claimed[1])
            owner.asked = False

    def _appended(self, owner: Owner) -> list[Standing]:
        sent, owner.sent = owner.sent, []
        self.log += sent
        return sent

    def _left_out(self) -> int:
        return self.implied_ns

    def _restored(self) -> TokenBucket:
        meter = TokenBucket(units=self.rate, period_ns=TOKEN, burst=self.burst, now_ns=self.now)
        if self.log:
            BUCKET_CLAIMS.restore(meter, self.log[-1], self.now)
        if self._left_out():
            part = BUCKET_CLAIMS.part(meter)
            BUCKET_CLAIMS.begin(meter, part, self.implied_ns, self.now)
        return meter

    def _started(self) -> Owner:
        holder: list[Owner] = []

        def asked(_: Room[TokenBucket]) -> None:
            holder[0].asked = True

        holding = Holding(before_ns=self._left_out())
        room = Room(
            self._restored(),
            BUCKET_CLAIMS,
            key=KEY,
            algorithm="token-bucket",
            now_ns=self.now,
            asked=asked,
            holding=holding,
        )
        holder.append(Owner(room=room, holding=holding))
        return holder[0]


class Changes(Crashes):
    """The limit changes as well: the most that it ever allowed is then the reference."""

    @rule(rate=RATES, burst=BURSTS)
    def the_limit_changes(self, rate: int, burst: int) -> None:
        self.rate, self.burst = rate, burst
        for room in [self.owner.room, *(each.room for each in self.zombies)]:
            room.meter.follow(units=rate, period_ns=TOKEN, burst=burst, now_ns=self.now)
            room.changed()
        self.reference.fill(self.now)
        more = max(0, burst * TOKEN - self.reference.full)
        self.reference.full += more
        self.reference.level += more
        self.reference.rate = max(self.reference.rate, rate)


class Gifts(Crashes):
    """Whoever begins takes what is implied for unused."""

    def _left_out(self) -> int:
        return 0


TestCrashes = Crashes.TestCase
TestChanges = Changes.TestCase
TestCrashes.settings = TestChanges.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_without_leaving_out_what_is_implied_more_is_granted() -> None:
    """The negative control."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Gifts,
            settings=settings(
                max_examples=500, deadline=None, derandomize=True, phases=[Phase.generate]
            ),
        )


def steady(*, rate: int, burst: int, per_s: int, trip_ms: int, seconds: int) -> tuple[int, int]:
    """What is admitted of steady calls, and by a bucket without any room; the log answers late."""
    now = 10**18
    asked: list[Room[TokenBucket]] = []
    kept = TokenBucket(units=rate * 1_000_000, period_ns=TOKEN, burst=burst, now_ns=now)
    free = TokenBucket(units=rate * 1_000_000, period_ns=TOKEN, burst=burst, now_ns=now)
    room = Room(kept, BUCKET_CLAIMS, key=KEY, algorithm="bucket", now_ns=now, asked=asked.append)
    under_way: list[tuple[int, Standing]] = []
    waiting: list[int] = []
    admitted = allowed = 0

    def check(since: int, at: int) -> bool:
        if at - since <= 30 * MS and not (passed := room.take(1, at)) and room.lacks(1, at):
            room.wait_for(1)
            waiting.append(since)
            return False
        return at - since <= 30 * MS and passed

    for number in range(per_s * seconds):
        now = 10**18 + number * 1_000_000_000 // per_s
        while under_way and under_way[0][0] <= now:
            at, claim = under_way.pop(0)
            room.accepted(claim)
            again, waiting = waiting, []
            admitted += sum(check(since, at) for since in again)
        allowed += free.take(1, now)
        admitted += check(now, now)
        if asked:
            asked.clear()
            if (claimed := room.claim(now)) is not None:
                under_way.append((now + trip_ms * MS, claimed[1]))
    return admitted, allowed


def test_in_steady_load_98_percent_of_what_is_allowed_is_admitted() -> None:
    """Below, at and far above the limit, small and large, with a log that takes its time."""
    for rate, burst in [(1, 2), (5, 10), (50, 50), (1000, 100), (1000, 2000)]:
        for per_s in (rate // 2 or 1, rate, rate * 3, rate * 20):
            for trip_ms in (2, 10, 25):
                told = {"rate": rate, "burst": burst, "per_s": per_s, "trip_ms": trip_ms}
                seconds = max(5, min(20, 20_000 // per_s))
                admitted, allowed = steady(**told, seconds=seconds)
                assert allowed * 0.98 - 1 <= admitted <= allowed + 1, (told, admitted, allowed)


def test_a_crash_loses_no_more_than_the_room() -> None:
    now = 10**18
    asked: list[Room[TokenBucket]] = []
    meter = TokenBucket(units=1, period_ns=TOKEN, burst=100, now_ns=now)
    room = Room(meter, BUCKET_CLAIMS, key=KEY, algorithm="bucket", now_ns=now, asked=asked.append)
    assert room.lacks(1, now)
    room.wait_for(1)
    (units, claim) = room.claim(now) or (0, ())
    assert (units, len(asked)) == (1, 1)
    assert not room.take(1, now), "the log has not said that it has it"
    assert room.accepted(claim)
    assert not room.accepted(claim)
    assert room.take(1, now)
    assert not room.take(1, now)
    after = TokenBucket(units=1, period_ns=TOKEN, burst=100, now_ns=now)
    BUCKET_CLAIMS.restore(after, claim, now + TERM_NS)
    assert after.level == 99 * TOKEN


def test_what_is_settled_beyond_the_room_is_claimed_next() -> None:
    now = 10**18
    asked: list[Room[TokenBucket]] = []
    meter = TokenBucket(units=1, period_ns=TOKEN, burst=100, now_ns=now)
    room = Room(meter, BUCKET_CLAIMS, key=KEY, algorithm="bucket", now_ns=now, asked=asked.append)
    room.settle(Settlement(reserved=0, actual=40, taken_ns=now, now_ns=now))
    (units, claim) = room.claim(now) or (-1, ())
    assert (units, claim[0]) == (0, 60 * TOKEN)
    room.settle(Settlement(reserved=0, actual=5, taken_ns=now, now_ns=now))
    asked.clear()
    room.accepted(claim)
    assert asked == [room], "what came meanwhile is not in it"
