"""The whole of throttle on a real Kafka: set, in force within a second, kept over a restart."""

import dataclasses
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from midstage.contracts import topics
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from tests import patient
from tests.kafka import kafka_log
from tests.ports import free_port
from tests.throttle.conftest import LIMIT, ONCE, TOKEN, running, spends_on


@pytest.mark.platform
@pytest.mark.slow
def test_limits_and_what_was_used_outlive_the_process(kafka: str, tmp_path: Path) -> None:
    name = f"midstage.limits-{uuid.uuid4().hex[:12]}.v1"
    topic = dataclasses.replace(topics.LIMITS, name=name)
    log = kafka_log(kafka)
    log.create(settings_of(topic))
    spends = spends_on(log)
    with running(log, topic, tmp_path, spends=spends) as throttle:
        assert throttle.passes("acme", "chat")
        first = done(lambda: throttle.put("acme-chat", "set-1", **ONCE))
        within(60, lambda: not throttle.passes("acme", "chat"))
        done(lambda: throttle.put("bolt-chat", "set-2", customer="bolt", **ONCE))
        done(lambda: throttle.delete("bolt-chat", "remove-2"))

    with running(log, topic, tmp_path, spends=spends) as throttle:
        assert not throttle.passes("acme", "chat")  # the one was used before
        assert all(throttle.passes("bolt", "chat") for _ in range(3))
        again = done(lambda: throttle.put("acme-chat", "set-1", **ONCE))
        assert again == {**first, "repeated": True}
        assert throttle.http.get("/v1/limits/bolt-chat").status_code == 404
        third = done(lambda: throttle.put("bolt-chat", "set-3", customer="bolt"))
        assert third["version"] == 3


def done(ask: Callable[[], httpx.Response]) -> dict[str, object]:
    answer = patient.answered(ask)
    assert answer.status_code == 200, answer.text
    said: dict[str, object] = answer.json()
    return said


@pytest.mark.platform
@pytest.mark.slow
def test_a_killed_process_comes_back_with_its_limits(kafka: str, tmp_path: Path) -> None:
    for topic in (topics.LIMITS, topics.SPENDS):
        kafka_log(kafka).create(settings_of(topic))
    limit = f"killed-{uuid.uuid4().hex[:12]}"
    env = environment(kafka, tmp_path)
    first = started(env, tmp_path)
    try:
        assert put(env, limit)["version"] == 1
        first.kill()
        assert first.wait(60) == -signal.SIGKILL
        second = started(env, tmp_path)
        try:
            assert put(env, limit) == {**put(env, limit), "repeated": True, "version": 1}
            second.terminate()
            assert second.wait(60) == 0
        finally:
            second.kill()
    finally:
        first.kill()


def environment(kafka: str, directory: Path) -> dict[str, str]:
    token = directory / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    return {
        **os.environ,
        "MIDSTAGE_THROTTLE_KAFKA": kafka,
        "MIDSTAGE_THROTTLE_PORT": str(free_port()),
        "MIDSTAGE_THROTTLE_GRPC_PORT": str(free_port()),
        "MIDSTAGE_THROTTLE_TOKEN_FILE": str(token),
    }


def started(env: dict[str, str], directory: Path) -> subprocess.Popen[bytes]:
    """The real process, ready."""
    with (directory / "throttle.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "midstage.throttle.main"], env=env, stderr=log
        )
    try:
        within(60, lambda: process.poll() is not None or is_ready(env))
        assert process.poll() is None, (directory / "throttle.log").read_text()
    except BaseException:
        process.kill()
        raise
    return process


def is_ready(env: dict[str, str]) -> bool:
    try:
        return patient.get(f"{address(env)}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def put(env: dict[str, str], limit: str) -> dict[str, object]:
    return done(
        lambda: patient.put(
            f"{address(env)}/v1/limits/{limit}",
            json={**LIMIT, "customer": limit},
            headers={"authorization": f"Bearer {TOKEN}", "idempotency-key": f"set-{limit}"},
        )
    )


def address(env: dict[str, str]) -> str:
    return f"http://127.0.0.1:{env['MIDSTAGE_THROTTLE_PORT']}"
