"""Throttles with a limit on concurrency, one after another: slots go on with their requests."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.requests import Outcome
from midstage.contracts.spends import CUSTOMERS_TAKEN, ROOM_TAKEN, CustomersTaken, RoomTaken
from midstage.eventlog.log import Log
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from midstage.throttle.decide.claims.slots import SlotClaims
from midstage.throttle.decide.meters.slots import Slots
from tests.ports import free_port
from tests.throttle.conftest import Running, memory, running
from tests.throttle.logged import put
from tests.throttle.test_strict_process import DEAD, ended, written

SLOTS = {
    "customer": "acme",
    "unit": "concurrency",
    "amount": 4,
    "algorithm": {"kind": "slots", "ttl_s": 3600},
    "on_failure": "closed",
}
SECOND = 1_000_000_000


@pytest.fixture
def log() -> MemoryLog:
    log = memory()
    log.create(settings_of(topics.REQUESTS))
    return log


@pytest.mark.slow
def test_slots_move_with_their_requests_whose_ends_free_them(
    log: MemoryLog, tmp_path: Path
) -> None:
    with life(log, tmp_path) as first:
        assert first.put("at-once", **SLOTS).status_code == 200
        within(60, lambda: left(first) == 4)
        for request in ("a", "b", "c"):
            within(60, partial(asks, first, request))
    put(log, ended("a", Outcome.OK), ended("stranger", Outcome.OK))
    with life(log, tmp_path) as second:
        within(60, lambda: left(second) == 2)
        assert asks(second, "b"), "it has its slot already"
        assert left(second) == 2
        settles(second, "b")
        settles(second, "b")
        assert left(second) == 3
        put(log, ended("c", Outcome.OK), ended("b", Outcome.OK), ended("c", Outcome.OK))
        within(60, lambda: left(second) == 4)


@pytest.mark.slow
def test_after_a_crash_what_the_log_names_ends_and_what_was_ahead_is_taken(
    log: MemoryLog, tmp_path: Path
) -> None:
    with life(log, tmp_path) as first:
        assert first.put("at-once", **SLOTS).status_code == 200
        within(60, lambda: left(first) == 4)
    died_with(log, "cut-off", "late", ahead=1)
    put(log, ended("cut-off", Outcome.CANCELLED))
    with life(log, tmp_path) as second:
        within(60, lambda: left(second) == 2)
        within(60, lambda: asks(second, "x"))
        within(60, lambda: asks(second, "y"))
        assert not asks(second, "z")
        put(log, ended("late", Outcome.OK))
        within(60, lambda: asks(second, "z"))
        assert left(second) == 0


def died_with(log: Log, *requests: str, ahead: int) -> None:
    """As one that took over, gave slots, claimed more of them and was killed."""
    now = SystemClock().now()
    number = partition_of(b"acme", topics.SPENDS.partitions)
    where = f"127.0.0.1:{free_port()}"  # nobody is there
    taken = CustomersTaken(partition=number, owner=DEAD, epoch=9, address=where, at=now)
    meter = Slots(limit=4, ttl_ns=3600 * SECOND, now_ns=time.time_ns())
    for request in requests:
        assert meter.take(1, time.time_ns(), request)
    standing = SlotClaims().of(meter, ahead, time.time_ns(), time.time_ns() + SECOND)
    claim = RoomTaken(
        limit="at-once",
        customer="acme",
        units=ahead,
        algorithm="slots of concurrency",
        standing=tuple(str(each) for each in standing),
        owner=DEAD,
        epoch=9,
        at=now,
    )
    put(
        log,
        written(CUSTOMERS_TAKEN, taken, "taken", number),
        written(ROOM_TAKEN, claim, '["at-once","acme",""]', number),
    )


@contextmanager
def life(log: MemoryLog, directory: Path) -> Iterator[Running]:
    keys = directory / "edge-keys"
    keys.write_text("{}")
    keys.chmod(0o600)
    with running(log, topics.LIMITS, directory, edge_keys=keys) as throttle:
        yield throttle


def asks(throttle: Running, request: str) -> bool:
    """Whether it has a slot now; one that has none is asked for again under the same id."""
    body = {"customer": "acme", "app": "chat", "request": request, "units": {"requests": 1}}
    answer = throttle.http.post("/v1/checks", json=body)
    return answer.status_code == 200 and bool(answer.json()["admitted"])


def settles(throttle: Running, request: str) -> None:
    body = {"request": request, "customer": "acme", "app": "chat"}
    assert throttle.http.post("/v1/settlements", json=body).is_success


def left(throttle: Running) -> int:
    """Slots that are free; less than nothing while nobody can say so."""
    answer = throttle.http.get("/v1/customers/acme/limits")
    if answer.status_code != 200:
        return -1
    found = [each["remaining"] for each in answer.json()["limits"] if each["limit"] == "at-once"]
    return int(found[0]) if found else -1
