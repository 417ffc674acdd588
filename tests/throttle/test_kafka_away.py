"""The broker stops and comes back: room and leases go on, then failure rules, and no more waits."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.contracts import topics
from midstage.contracts.algorithms import LifetimeQuota, TokenBucket
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.limits.client import Limits
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.crash.children import Broker
from tests.throttle.conftest import TOKEN, Running, running
from tests.throttle.logged import put, set_by

AMOUNT = 1000
IN_A_ROW = 5
"""Checks that need no claim: the next ones find room, too."""
LIMITS = (
    LimitSet(
        limit="closed",
        customer="closed",
        amount=AMOUNT,
        algorithm=LifetimeQuota(),
        on_failure=FailureRule.CLOSED,
        at=NOON,
    ),
    LimitSet(limit="open", customer="open", amount=1, algorithm=LifetimeQuota(), at=NOON),
    LimitSet(
        limit="leased",
        customer="leased",
        amount=1000,
        algorithm=TokenBucket(period_s=1),
        on_failure=FailureRule.CLOSED,
        at=NOON,
    ),
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path / "kafka")
    yield started
    started.close()


@pytest.mark.platform
@pytest.mark.slow
def test_while_kafka_is_away_what_was_taken_is_used_and_then_the_rules_speak(
    broker: Broker, tmp_path: Path
) -> None:
    log = KafkaLog(bootstrap=broker.address, client_id="test")
    for topic in (topics.LIMITS, topics.SPENDS):
        log.create(settings_of(topic))
    put(log, *[set_by(fact, topics.LIMITS) for fact in LIMITS])
    # long enough for a check on a busy machine that has room, and short for one that has none
    with running(log, topics.LIMITS, tmp_path, answer_within_ms=1000.0) as throttle:
        asyncio.run(story(broker, Asking(throttle)))


async def story(broker: Broker, asking: "Asking") -> None:
    within(60, asking.has_room)
    url = str(asking.throttle.http.base_url)
    async with await Limits.connect(url, holder="edge", token=TOKEN, within_s=60) as limits:
        assert await limits.lease("leased", app="chat")
        broker.stop()
        assert limits.try_acquire("leased", app="chat"), "what was lent is there for its term"
        assert asking.passes(), "there was room"
        within(60, lambda: not asking.passes())
        assert asking.throttle.passes("open", "chat")
        assert asking.counted("failure_mode_allowed") > 0
        within(60, asking.waits_for_nothing)
        assert asking.throttle.http.get("/readyz").status_code in (200, 503)
        broker.start()
        within(120, asking.passes)
    within(300, asking.is_used_up)
    assert asking.passed == AMOUNT
    assert not asking.passes()


class Asking:
    """Who asks of the closed limit, and counts what passes."""

    def __init__(self, throttle: Running) -> None:
        self.throttle = throttle
        self.passed = 0

    def passes(self) -> bool:
        passed = self.throttle.passes("closed", "chat")
        self.passed += passed
        return passed

    def has_room(self) -> bool:
        """Some checks in a row have found room, and waited for none."""
        before = self.counted("room_waited")
        passed = [self.passes() for _ in range(IN_A_ROW)]
        assert self.passed < AMOUNT // 2
        return all(passed) and self.counted("room_waited") == before

    def waits_for_nothing(self) -> bool:
        """A log that has been silent for a second is away, and nobody waits for it."""
        before = self.counted("room_waited"), self.counted("without_room", rule="closed")
        passed = [self.passes() for _ in range(IN_A_ROW)]
        after = self.counted("room_waited"), self.counted("without_room", rule="closed")
        return not any(passed) and after == (before[0], before[1] + IN_A_ROW)

    def is_used_up(self) -> bool:
        for _ in range(10 * IN_A_ROW):
            self.passes()
        limits = self.throttle.http.get("/v1/customers/closed/limits").json()["limits"]
        return [each["remaining"] for each in limits] == [0]

    def counted(self, name: str, **labels: str) -> float:
        told = self.throttle.http.get("/metrics").text
        said = ",".join(f'{label}="{value}"' for label, value in labels.items())
        of = re.escape(f"{{{said}}}") if said else ""
        found = re.search(rf"^midstage_throttle_{name}_total{of} (\S+)$", told, re.M)
        return float(found[1]) if found else 0.0
