"""Two throttle processes on the real Kafka, and limits over the customers of both."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2_grpc,
)

from midstage.contracts.algorithms import AnyAlgorithm, LifetimeQuota, TokenBucket
from midstage.contracts.limits import FailureRule, LimitSet
from midstage.eventlog.topics import settings_of
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests import patient
from tests.kafka import kafka_log
from tests.ports import free_port
from tests.throttle.conftest import TOKEN
from tests.throttle.dying import named
from tests.throttle.gated import OK, question
from tests.throttle.logged import put, set_by

AMOUNT = 120
OWN = 5
STARTS_WITHIN_S = 240
CUSTOMERS = [f"customer-{number}" for number in range(12)]
_DAY_S = 86_400.0
_ADMITTED = re.compile(r'^midstage_throttle_checks_total\{verdict="admitted"\} (\S+)$', re.M)
_LENT = re.compile(r"^midstage_throttle_parts_total (\S+)$", re.M)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Throttle:
    """A process that serves."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    envoy: rls_pb2_grpc.RateLimitServiceStub

    def passes(self, customer: str, app: str) -> bool:
        answer = self.envoy.ShouldRateLimit(question(customer, app, hits=1), timeout=60)
        return bool(answer.overall_code == OK)

    def metric(self, pattern: re.Pattern[str]) -> float:
        return sum(float(each) for each in pattern.findall(self.http.get("/metrics").text))


@pytest.mark.platform
@pytest.mark.slow
def test_two_processes_admit_a_limit_over_the_customers_of_both_once(
    kafka: str, tmp_path: Path
) -> None:
    run = uuid.uuid4().hex[:12]
    log = kafka_log(kafka)
    for topic in named(run):
        log.create(settings_of(topic))
    limits, _ = named(run)
    put(
        log,
        set_by(over_all("all-chat", "chat", TokenBucket(period_s=_DAY_S, burst=AMOUNT)), limits),
        set_by(over_all("all-ocr", "ocr", LifetimeQuota()), limits),
        set_by(over_all("all-nlp", "nlp", LifetimeQuota()), limits),
        set_by(own(CUSTOMERS[0]), limits),
        set_by(probe(), limits),
    )
    with started(kafka, tmp_path, run) as first, started(kafka, tmp_path, run) as second:
        customers = split(first, second)
        for app in ("chat", "ocr"):
            assert admitted(first, customers, app) <= AMOUNT
        assert first.metric(_LENT) + second.metric(_LENT) > 0

        # who is refused by its own limit takes nothing from the one over all
        assert sum(first.passes(CUSTOMERS[0], "nlp") for _ in range(AMOUNT // 2)) == OWN
        rest = [each for each in customers if each != CUSTOMERS[0]]
        assert admitted(first, rest, "nlp", most=AMOUNT - OWN) <= AMOUNT - OWN


def admitted(throttle: Throttle, customers: list[str], app: str, *, most: int = AMOUNT) -> int:
    """How many pass, of more than ``most``, of all customers in turn: nine tenths at least.

    What one process has and another one lacks comes back after a second.
    """
    passed, refused = 0, 0

    def used_up() -> bool:
        nonlocal passed, refused
        for customer in customers:
            if throttle.passes(customer, app):
                passed, refused = passed + 1, 0
            else:
                refused += 1
        return refused >= 10 * len(customers) and passed >= 0.9 * most

    within(120, used_up)
    return passed


def split(first: Throttle, second: Throttle) -> list[str]:
    """Customers of whom each process counts for some."""
    both = (first, second)
    within(120, lambda: all(who_counts(both, each) for each in CUSTOMERS))
    within(120, lambda: {who_counts(both, each) for each in CUSTOMERS} == {first, second})
    return CUSTOMERS


def who_counts(asked: Sequence[Throttle], customer: str) -> Throttle | None:
    """Which of them counts for the customer, if it is one: nothing passes without count."""
    before = [each.metric(_ADMITTED) for each in asked]
    if not asked[0].passes(customer, "probe"):
        return None
    more = [each.metric(_ADMITTED) > was for each, was in zip(asked, before, strict=True)]
    return next((each for each, counted in zip(asked, more, strict=True) if counted), None)


def over_all(name: str, app: str, algorithm: AnyAlgorithm) -> LimitSet:
    return LimitSet(
        limit=name,
        aggregate=True,
        app=app,
        amount=1 if isinstance(algorithm, TokenBucket) else AMOUNT,
        algorithm=algorithm,
        on_failure=FailureRule.CLOSED,
        at=NOON,
    )


def own(customer: str) -> LimitSet:
    return LimitSet(
        limit="own",
        customer=customer,
        app="nlp",
        amount=OWN,
        algorithm=LifetimeQuota(),
        on_failure=FailureRule.CLOSED,
        at=NOON,
    )


def probe() -> LimitSet:
    """Each customer has enough of it."""
    return LimitSet(
        limit="probe",
        app="probe",
        amount=10**6,
        algorithm=LifetimeQuota(),
        on_failure=FailureRule.CLOSED,
        at=NOON,
    )


@contextmanager
def started(kafka: str, directory: Path, run: str) -> Iterator[Throttle]:
    """The process as ``main`` composes it, ready, over topics of this run."""
    token = directory / "token"
    if not token.exists():
        token.write_text(TOKEN)
        token.chmod(0o600)
    port, grpc_port = free_port(), free_port()
    env = {
        **os.environ,
        "MIDSTAGE_THROTTLE_KAFKA": kafka,
        "MIDSTAGE_THROTTLE_PORT": str(port),
        "MIDSTAGE_THROTTLE_GRPC_PORT": str(grpc_port),
        "MIDSTAGE_THROTTLE_TOKEN_FILE": str(token),
        # on a busy machine nothing is late here: what passes, passes by count
        "MIDSTAGE_THROTTLE_ANSWER_WITHIN_MS": "5000",
        "MIDSTAGE_THROTTLE_CALLER_TIMEOUT_MS": "8000",
        "TEST_RUN": run,
    }
    killer = [sys.executable, "-m", "midstage.testkit.kill", "--order", str(directory / "order")]
    with (directory / "throttle.log").open("ab") as told:
        process = subprocess.Popen([*killer, "--", "tests.throttle.dying"], env=env, stderr=told)
    try:
        with (
            patient.client(base_url=f"http://127.0.0.1:{port}") as http,
            grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
        ):
            within(STARTS_WITHIN_S, lambda: patient.serves(http))
            yield Throttle(
                process=process, http=http, envoy=rls_pb2_grpc.RateLimitServiceStub(channel)
            )
            process.terminate()
            assert process.wait(60) == 0
    finally:
        process.kill()
