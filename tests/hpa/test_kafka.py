"""hpa on a real Kafka: two processes, one killed in the middle, and the whole run made again."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.replay import replayed
from midstage.testkit.kill import ordered
from midstage.testkit.waiting import within
from tests import patient
from tests.hpa.conftest import Others, Running, created, running, settings_in, topics_of
from tests.kafka import kafka_log

pytestmark = [pytest.mark.platform, pytest.mark.slow]
POLICY = Policy(
    min=1,
    max=9,
    targets=Targets(concurrency=2, requests_per_s=10, cpu=0.5),
    stabilise_down_s=2,
    window_s=1,
    up=Rate(pods=100),
    down=Rate(pods=100),
)
APPS = ("chat", "ocr", "asr")
PATIENT_S = 180
"""A busy machine takes long to start a process, and to write to Kafka."""


@pytest.fixture
def kafka_others(kafka: str) -> Iterator[Others]:
    log = kafka_log(kafka)
    names = topics_of(uuid.uuid4().hex[:10])
    created(log, names)
    with closing(Others(log=log, names=names)) as others:
        yield others


def test_a_run_of_two_with_a_restart_is_made_again(kafka_others: Others, tmp_path: Path) -> None:
    others = kafka_others
    others.reach()
    for app in APPS:
        others.specify(app, POLICY, replicas=2)
    with both(others, tmp_path) as hpas:
        within(PATIENT_S, lambda: all(h.counts(a) == [2] for a in APPS for h in hpas))
        for expected in ([2, 4], [2, 4, 9]):
            for app in APPS:
                others.pods(app, expected[-1], cpu=0.1)
            within(PATIENT_S, lambda: rising(others, hpas, expected))  # noqa: B023  waited for at once
    with both(others, tmp_path) as hpas:
        assert [hpas[0].counts(app) for app in APPS] == [[2, 4, 9]] * len(APPS)
        within(PATIENT_S, lambda: falling(others, hpas))
    found = replayed(others.log, topics=others.names)
    assert found.equal, found
    assert found.total >= found.changes >= 4 * len(APPS)
    assert found.unheld == 0


def test_what_was_in_force_at_a_time_is_found(kafka_others: Others, tmp_path: Path) -> None:
    others = kafka_others
    others.reach()
    others.specify("chat", POLICY, replicas=3)
    with running(others.log, others.names, tmp_path) as hpa:
        within(PATIENT_S, lambda: hpa.counts("chat") == [3])
        first = within(60, lambda: hpa.evaluation("chat"))
        at = first["evaluation"]["inputs"]["now"]
        within(60, lambda: hpa.evaluation("chat") != first)
        assert hpa.evaluation("chat", at=at) == first
        assert hpa.evaluation("chat", at="2026-01-01T00:00:00Z") == {}


def test_killed_at_each_place_the_decision_stands_once(kafka: str, tmp_path: Path) -> None:
    """The real topics: other tests may use them, so the applications have names of their own."""
    log = kafka_log(kafka)
    created(log, Topics())
    app = f"kill-{uuid.uuid4().hex[:10]}"
    policy = Policy(min=1, max=9, targets=Targets(concurrency=2), window_s=1, up=Rate(pods=100))
    env = environment(kafka, tmp_path)
    expected = [2]
    with ExitStack() as stack:
        others = stack.enter_context(closing(Others(log=log, names=Topics())))
        process = started(env, tmp_path, stack)
        others.reach()
        others.specify(app, policy, replicas=2)
        within(PATIENT_S, lambda: counts(env, app) == expected)
        for place, count in (("hpa:evaluated", 4), ("append:sent", 7)):
            ordered(tmp_path / "order", place)
            loaded_until(others, app, 2 * count, lambda: process.poll() is not None)  # noqa: B023  waited for at once
            assert process.wait(PATIENT_S) == -signal.SIGKILL
            process = started(env, tmp_path, stack)
            expected.append(count)
            loaded_until(others, app, 2 * count, lambda: counts(env, app) == expected)
        process.terminate()
        assert process.wait(PATIENT_S) == 0


@contextmanager
def both(others: Others, directory: Path) -> Iterator[tuple[Running, Running]]:
    one, two = directory / "one", directory / "two"
    one.mkdir(exist_ok=True)
    two.mkdir(exist_ok=True)
    with (
        running(others.log, others.names, one) as hpa,
        running(others.log, others.names, two) as other,
    ):
        yield hpa, other


def rising(others: Others, hpas: tuple[Running, Running], expected: list[int]) -> bool:
    """Load for the last count, second by second, until all know of it."""
    for app in APPS:
        others.load(app, in_flight=2 * expected[-1], requests=1)
    return all(hpa.counts(app) == expected for app in APPS for hpa in hpas)


def falling(others: Others, hpas: tuple[Running, Running]) -> bool:
    """Load that fell, second by second, until the window lets the count fall too."""
    others.reach()
    for app in APPS:
        others.pods(app, 9, cpu=0.1)
        others.load(app, in_flight=1, requests=1)
    return all(hpa.counts(app)[-1] == 2 for app in APPS for hpa in hpas)


def loaded_until(others: Others, app: str, in_flight: int, done: Callable[[], bool]) -> None:
    def told() -> bool:
        others.load(app, in_flight=in_flight)
        return done()

    within(PATIENT_S, told)


def environment(kafka: str, directory: Path) -> dict[str, str]:
    settings = settings_in(directory)
    return {
        **os.environ,
        "MIDSTAGE_HPA_KAFKA": kafka,
        "MIDSTAGE_HPA_PORT": str(settings.port),
        "MIDSTAGE_HPA_TOKEN_FILE": str(settings.token_file),
    }


def started(env: dict[str, str], directory: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    """The real process under a killer, ready."""
    killer = [sys.executable, "-m", "midstage.testkit.kill", "--order", str(directory / "order")]
    log = stack.enter_context((directory / "hpa.log").open("ab"))
    process = subprocess.Popen([*killer, "midstage.hpa.main"], env=env, stderr=log)
    stack.callback(process.kill)
    within(PATIENT_S, lambda: process.poll() is not None or is_ready(env))
    assert process.poll() is None, (directory / "hpa.log").read_text()
    return process


def is_ready(env: dict[str, str]) -> bool:
    try:
        return patient.get(f"{address(env)}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def counts(env: dict[str, str], app: str) -> list[int]:
    answer = patient.get(f"{address(env)}/v1/decisions", params={"app": app}).json()
    return [each["to"] for each in answer["decisions"]]


def address(env: dict[str, str]) -> str:
    return f"http://127.0.0.1:{env['MIDSTAGE_HPA_PORT']}"
