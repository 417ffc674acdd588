"""What crashes cost a customer who asks for all it may have: little of it, by any algorithm."""

from dataclasses import dataclass, field

import pytest

from midstage.throttle.decide.claims.claim import Standing
from midstage.throttle.decide.meters.gcra import Gcra
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.meters.sliding import MovingWindow
from midstage.throttle.decide.meters.window import FixedWindow
from midstage.throttle.decide.room import Room
from midstage.throttle.model.holding import Holding
from tests.throttle.test_claims import BEGUN, MS, SECOND, Make, started

TRIP_NS = 4 * MS
APART_NS = 10 * MS
LIVES_NS = 7 * SECOND
DOWN_NS = SECOND
IMPLIED_NS = 6 * SECOND
LIVES = 10
MAKES: dict[str, Make] = {
    "gcra": lambda now: Gcra(units=20, period_ns=SECOND, burst=20, now_ns=now),
    "window": lambda now: FixedWindow(limit=60, period_ns=5 * SECOND, now_ns=now),
    "moving": lambda now: MovingWindow(limit=60, period_ns=5 * SECOND, now_ns=now),
}


@dataclass(slots=True, kw_only=True)
class Life:
    """An owner over a log that takes its time, and a check that waits for room."""

    room: Room[Meter]
    sent: list[tuple[int, Standing]] = field(default_factory=list)
    waits: bool = False

    def asked(self, now: int, log: list[Standing]) -> int:
        """How many pass now: a new check, or the one that waits."""
        while self.sent and self.sent[0][0] <= now:
            claim = self.sent.pop(0)[1]
            log.append(claim)
            self.room.accepted(claim)
        passed = self.room.take(1, now)
        self.waits = not passed and self.room.lacks(1, now)
        if self.waits:
            self.room.wait_for(1)
        claimed = self.room.claim(now)
        if claimed is not None:
            self.sent.append((now + TRIP_NS, claimed[1]))
        return passed


@pytest.mark.parametrize("name", MAKES)
def test_who_counts_dies_every_seven_seconds_and_nine_tenths_pass(name: str) -> None:
    make = MAKES[name]
    free = make(BEGUN)
    log: list[Standing] = []
    implied_ns = admitted = allowed = 0
    for number in range(LIVES):
        begins = BEGUN + number * LIVES_NS
        holding = Holding(before_ns=implied_ns, until_ns=begins + LIVES_NS)
        life = Life(room=started(make, log, begins + DOWN_NS, holding).room)
        for now in range(begins, begins + LIVES_NS, APART_NS):
            allowed += free.take(1, now)
            if now >= begins + DOWN_NS:
                admitted += life.asked(now, log)
        log += [claim for _, claim in life.sent]
        implied_ns = begins + LIVES_NS + IMPLIED_NS
    assert 0.9 * allowed <= admitted <= allowed, (admitted, allowed)
