"""How a throttle starts: closed until the limits are known, from a snapshot where one fits."""

import socket
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from midstage.chassis.clock import SystemClock
from midstage.contracts import topics
from midstage.contracts.algorithms import LifetimeQuota
from midstage.contracts.limits import LimitFact, LimitSet
from midstage.eventlog.log import Log, Message
from midstage.eventlog.snapshots import Snapshots, code_of
from midstage.eventlog.topics import settings_of
from midstage.eventlog.versions import Versions
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from midstage.throttle.decide.limits import evolve
from midstage.throttle.main import compose
from midstage.throttle.model.checks import Check, Judged
from midstage.throttle.model.limits import Standing
from tests import patient
from tests.kafka import kafka_log
from tests.ports import free_port
from tests.throttle.conftest import memory, running, settings_in, spends_on
from tests.throttle.gated import TINY, Held, gate_over, limit
from tests.throttle.logged import put, set_by


def test_while_the_log_can_not_be_asked_the_port_stays_closed(tmp_path: Path) -> None:
    log = memory()
    put(log, limited("first", 1, burst=1))
    log.cut()
    settings = settings_in(tmp_path, grpc_port=free_port())
    process = compose(settings, log=log)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        ready = f"http://127.0.0.1:{settings.port}/readyz"
        away, shut = "the broker is away", "the gRPC port is not open yet"
        untaken = "the share of the customers is being taken"
        reasons = {"limits": away, "spends": away, "grpc": shut, "share": untaken}
        within(60, lambda: reasons_at(ready) == reasons)
        assert not listens(settings.grpc_port)
        log.mend()
        within(60, lambda: patient.get(ready).status_code == 200)
        assert listens(settings.grpc_port)
    finally:
        process.stop()
        thread.join(60)


def test_no_check_is_answered_without_the_limits_that_opened_the_port() -> None:
    """The first check may come before the loop that follows the log has turned."""
    gate, _ = gate_over(Held(limit("acme", "chat", rate_per_s=TINY, burst=1)))
    assert gate.closed() is None
    judged = [gate.check(Check(customer="acme", app="chat"), None) for _ in range(2)]
    admitted = [each.admitted for each in judged if isinstance(each, Judged)]
    assert admitted == [True, False]


def test_a_long_log_leaves_a_snapshot(tmp_path: Path) -> None:
    log = memory()
    put(log, *[limited("busy", version) for version in range(1, 10_002)])
    with running(log, topics.LIMITS, tmp_path) as throttle:
        assert throttle.http.get("/v1/limits/busy").json()["version"] == 10_001
        within(60, lambda: sum(log.ends(log.partitions(topics.LIMITS.snapshots)).values()) >= 2)


@pytest.mark.platform
@pytest.mark.slow
def test_a_throttle_starts_from_its_snapshot_on_kafka(kafka: str, tmp_path: Path) -> None:
    """The records that the snapshot tells of are not even held any more."""
    log, topic = after_a_snapshot(kafka, code_of(evolve))
    with running(log, topic, tmp_path, spends=spends_on(log)) as throttle:
        held = throttle.http.get("/v1/limits/kept").json()
        assert (held["version"], held["amount"], held["customer"]) == (3, 3, "kept")
        known = throttle.http.get("/v1/commands/set-kept-2").json()
        assert (known["version"], known["repeated"]) == (2, True)
        assert [throttle.passes("kept", "chat") for _ in range(4)] == [True, True, True, False]
        assert throttle.put("kept", "set-kept-4", customer="kept").json()["version"] == 4


@pytest.mark.platform
@pytest.mark.slow
def test_a_snapshot_of_other_code_is_not_believed_on_kafka(kafka: str, tmp_path: Path) -> None:
    """So the whole log is wanted, and that is gone here: no decision without it."""
    log, topic = after_a_snapshot(kafka, "the code before")
    settings = settings_in(tmp_path, grpc_port=free_port())
    process = compose(settings, log=log, topic=topic, spends=spends_on(log))
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        ready = f"http://127.0.0.1:{settings.port}/readyz"
        within(60, lambda: "does not hold offset 0" in reasons_at(ready).get("limits", ""))
        assert not listens(settings.grpc_port)
    finally:
        process.stop()
        thread.join(60)


def after_a_snapshot(kafka: str, code: str) -> tuple[Log, topics.Topic]:
    """A log whose first two records are gone, and a snapshot by ``code`` of all three."""
    topic = replace(topics.LIMITS, name=f"midstage.limits-{uuid.uuid4().hex[:12]}.v1")
    log = kafka_log(kafka)
    log.create(settings_of(topic))
    put(log, *[limited("kept", version, burst=version, topic=topic) for version in (1, 2, 3)])
    versions = Versions[Standing, LimitFact](
        log=log,
        topic=topic,
        initial=Standing(),
        evolve=evolve,
        engine="test",
        now=SystemClock().now,
        monotonic=time.monotonic,
        snapshots=Snapshots(log=log, topic=topic, state=Standing, code=code, every=3),
    )
    stop = threading.Event()
    thread = threading.Thread(target=versions.run, args=(stop,))
    thread.start()
    snapshots = log.partitions(topic.snapshots)
    within(60, lambda: sum(log.ends(snapshots).values()) == 2)
    stop.set()
    thread.join(60)
    [place] = [place for place, end in log.ends(log.partitions(topic.name)).items() if end]
    gone = TopicPartition(place.topic, place.number, 2)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([gone])[gone].result()
    return log, topic


def limited(
    name: str, version: int, *, burst: int = 10, topic: topics.Topic = topics.LIMITS
) -> Message:
    """What a throttle wrote that runs no more."""
    fact = LimitSet(
        limit=name,
        customer=name,
        app="chat",
        amount=burst,
        algorithm=LifetimeQuota(),
        at=NOON,
    )
    return set_by(fact, topic, version=version)


def reasons_at(ready: str) -> dict[str, str]:
    """Why the process is not ready; nothing while it does not listen."""
    try:
        said: dict[str, str] = patient.get(ready).json().get("reasons", {})
    except httpx.TransportError:
        return {}
    return said if "not started yet" not in said.values() else {}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
