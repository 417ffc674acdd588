"""A whole throttle with a strict limit, after one that died between the log and its answers."""

import time
from pathlib import Path

import pytest

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import REQUEST_COMPLETED, Outcome, RequestCompleted
from midstage.contracts.spends import (
    CUSTOMERS_TAKEN,
    ROOM_TAKEN,
    CustomersTaken,
    RoomTaken,
    Unanswered,
)
from midstage.eventlog import codec
from midstage.eventlog.log import Log, Message
from midstage.eventlog.murmur2 import partition_of
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from tests.ports import free_port
from tests.throttle.conftest import Running, memory, running
from tests.throttle.logged import put

STRICT = {
    "customer": "acme",
    "amount": 5,
    "algorithm": {"kind": "lifetime"},
    "on_failure": "closed",
    "strict": True,
}
DEAD = "throttle/dead"


@pytest.mark.slow
def test_what_it_was_never_told_of_comes_back_and_nothing_else(tmp_path: Path) -> None:
    log = memory()
    log.create(settings_of(topics.REQUESTS))
    keys = tmp_path / "edge-keys"
    keys.write_text("{}")
    keys.chmod(0o600)
    with running(log, topics.LIMITS, tmp_path) as first:
        assert first.put("budget", **STRICT).status_code == 200
        within(60, lambda: left(first) == 5)
        within(60, lambda: first.passes("acme", "chat"))
        assert left(first) < 5
        used = 5 - left(first)
    died_with(log, standing=used + 3)
    put(log, ended("cut-off", Outcome.REFUSED), ended("through", Outcome.OK))
    put(log, ended("nobody", Outcome.REFUSED), ended("cut-off", Outcome.REFUSED))
    with running(log, topics.LIMITS, tmp_path, edge_keys=keys) as second:
        within(60, lambda: left(second) == 5 - used - 2)
        put(log, ended("late", Outcome.REFUSED))
        within(60, lambda: left(second) == 5 - used - 1)
        passed = 0
        for _ in range(20):  # late on a busy machine, one is refused that may pass
            passed += second.passes("acme", "chat")
        assert passed <= 5 - used - 1
        assert left(second) == 5 - used - 1 - passed


def died_with(log: Log, *, standing: int) -> None:
    """As one that took over, wrote a claim of three requests and was killed."""
    now = SystemClock().now()
    number = partition_of(b"acme", topics.SPENDS.partitions)
    where = f"127.0.0.1:{free_port()}"  # nobody is there
    taken = CustomersTaken(partition=number, owner=DEAD, epoch=9, address=where, at=now)
    named = [
        Unanswered(request=each, units=1, taken_ns=time.time_ns())
        for each in ("cut-off", "through", "late")
    ]
    claim = RoomTaken(
        limit="budget",
        customer="acme",
        units=0,
        algorithm="lifetime of requests",
        standing=(str(standing),),
        owner=DEAD,
        epoch=9,
        at=now,
        unanswered=tuple(named),
    )
    put(
        log,
        written(CUSTOMERS_TAKEN, taken, "taken", number),
        written(ROOM_TAKEN, claim, '["budget","acme",""]', number),
    )


def written(type_: str, fact: Fact, key: str, number: int) -> Message:
    event = Event(id=type_, source=DEAD, type=type_, time=SystemClock().now(), data=fact)
    made = codec.message(event, topic=topics.SPENDS.name, key=key)
    return Message(
        topic=made.topic, key=made.key, value=made.value, headers=made.headers, partition=number
    )


def ended(request: str, outcome: Outcome) -> Message:
    fact = RequestCompleted(
        app="chat",
        customer="acme",
        status=429 if outcome is Outcome.REFUSED else 200,
        outcome=outcome,
        duration_ms=1,
    )
    event = Event(
        id=request,
        source="sdk/one",
        type=REQUEST_COMPLETED,
        time=SystemClock().now(),
        data=fact,
    )
    return codec.message(event, topic=topics.REQUESTS.name, key="sdk/one")


def left(throttle: Running) -> int:
    """What the strict limit has left; less than nothing while it is not there yet."""
    answer = throttle.http.get("/v1/customers/acme/limits")
    if answer.status_code != 200:
        return -1
    found = [each["remaining"] for each in answer.json()["limits"] if each["limit"] == "budget"]
    return int(found[0]) if found else -1
