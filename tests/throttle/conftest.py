"""A whole throttle process over a log, in a thread, and its callers."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
    rls_pb2_grpc,
)

from midstage.contracts import topics
from midstage.eventlog.log import Log
from midstage.eventlog.memory import MemoryLog
from midstage.eventlog.topics import settings_of
from midstage.testkit.waiting import within
from midstage.throttle.config import RuleSettings, Settings
from midstage.throttle.main import compose
from tests import patient
from tests.ports import free_port

TOKEN = "a-token-of-this-test"
LIMIT = {
    "customer": "acme",
    "app": "chat",
    "amount": 5,
    "algorithm": {"kind": "token_bucket", "period_s": 1, "burst": 10},
}
ONCE = {"amount": 1, "algorithm": {"kind": "lifetime"}}
"""One request and never another one."""
PATIENT_MS = 30_000.0
"""Nobody's time is up on a machine that stands still: what passes is to be counted exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A throttle that serves."""

    http: httpx.Client
    envoy: rls_pb2_grpc.RateLimitServiceStub
    log: Log

    def put(
        self, limit: str, command_id: str | None = None, /, **changed: object
    ) -> httpx.Response:
        body = {**LIMIT, **changed}
        return self.http.put(f"/v1/limits/{limit}", json=body, headers=named(command_id))

    def delete(self, limit: str, command_id: str | None = None) -> httpx.Response:
        return self.http.delete(f"/v1/limits/{limit}", headers=named(command_id))

    def passes(self, customer: str, app: str) -> bool:
        asked = rls_pb2.RateLimitRequest(domain="midstage")
        descriptor = asked.descriptors.add()
        descriptor.entries.add(key="customer", value=customer)
        descriptor.entries.add(key="app", value=app)
        answer = self.envoy.ShouldRateLimit(asked, timeout=60)
        return bool(answer.overall_code == rls_pb2.RateLimitResponse.OK)


@contextmanager
def running(
    log: Log,
    topic: topics.Topic,
    directory: Path,
    *,
    grpc_port: int | None = None,
    rules: RuleSettings | None = None,
    spends: topics.Topic = topics.SPENDS,
    edge_keys: Path | None = None,
    answer_within_ms: float = PATIENT_MS,
) -> Iterator[Running]:
    """Compose the process as ``main`` does, over this log and topic, and stop it in the end."""
    settings = settings_in(directory, grpc_port=grpc_port or free_port(), rules=rules)
    settings = replace(
        settings,
        edge_keys_file=edge_keys,
        answer_within_ms=answer_within_ms,
        caller_timeout_ms=answer_within_ms + 20,
    )
    process = compose(settings, log=log, topic=topic, spends=spends, gone_s=60.0)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(process.run()))
    thread.start()
    try:
        with (
            patient.client(
                base_url=f"http://127.0.0.1:{settings.port}",
                headers={"authorization": f"Bearer {TOKEN}"},
            ) as http,
            grpc.insecure_channel(f"127.0.0.1:{settings.grpc_port}") as channel,
        ):
            within(60, lambda: patient.serves(http))
            yield Running(http=http, envoy=rls_pb2_grpc.RateLimitServiceStub(channel), log=log)
    finally:
        process.stop()
        thread.join(60)
    assert codes == [0]


def settings_in(directory: Path, *, grpc_port: int, rules: RuleSettings | None = None) -> Settings:
    token_file = directory / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    port = free_port()
    return Settings(
        kafka="not asked",
        host="127.0.0.1",
        port=port,
        grpc_port=grpc_port,
        address=f"127.0.0.1:{grpc_port}",
        http_address=f"127.0.0.1:{port}",
        token_file=token_file,
        answer_within_ms=PATIENT_MS,
        caller_timeout_ms=PATIENT_MS + 20,
        rules=rules or RuleSettings(),
    )


def memory() -> MemoryLog:
    """A log in memory with the topics of a throttle."""
    log = MemoryLog()
    for topic in (topics.LIMITS, topics.SPENDS):
        log.create(settings_of(topic))
    return log


def spends_on(log: Log) -> topics.Topic:
    """A topic of this test alone for the counters, on a Kafka that others use too."""
    topic = replace(topics.SPENDS, name=f"midstage.spends-{uuid.uuid4().hex[:12]}.v1")
    log.create(settings_of(topic))
    return topic


@pytest.fixture(scope="module")
def memory_log() -> MemoryLog:
    return memory()


@pytest.fixture(scope="module")
def throttle(memory_log: MemoryLog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One throttle over a log in memory for a module's tests; each uses names of its own."""
    with running(memory_log, topics.LIMITS, tmp_path_factory.mktemp("throttle")) as served:
        yield served


def named(command_id: str | None) -> dict[str, str]:
    return {} if command_id is None else {"Idempotency-Key": command_id}


def problem(answer: httpx.Response, status: int) -> str:
    """The problem's detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])
