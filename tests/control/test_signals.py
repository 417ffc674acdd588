"""Signals: sent or refused over HTTP, read where policies name them, unknown where nobody knows."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from midstage.contracts.autoscaling import (
    Described,
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    ObjectMetric,
    PodsMetric,
    Target,
    TargetType,
)
from midstage.contracts.errors import UnavailableError
from midstage.contracts.policy import Policy
from midstage.contracts.signals import Signal, SignalKind, SignalObserved
from midstage.control.decide.signals import External, OfGroup, OfObject, OfPods, Wanted, wanted
from midstage.control.model import Specified
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.control.conftest import TOKEN, Pair, running

EACH = Target(type=TargetType.AVERAGE_VALUE, average_value="30")
METRICS = (
    Metric(type=MetricType.PODS, pods=PodsMetric(metric=Identifier(name="sessions"), target=EACH)),
    Metric(
        type=MetricType.OBJECT,
        object=ObjectMetric(
            described_object=Described(kind="Service", name="front"),
            metric=Identifier(name="hits"),
            target=EACH,
        ),
    ),
    Metric(
        type=MetricType.EXTERNAL,
        external=ExternalMetric(metric=Identifier(name="queue"), target=EACH),
    ),
)
LAGGING = Policy(max=9, signals={"pages": Signal(target=10, group="ocr", topics=("b", "a"))})


@dataclass(slots=True)
class Told:
    """A source that says what it was given; None: it does not know."""

    value: float | None = 7.0
    name: str = "kafka"
    asked: list[Wanted] = field(default_factory=list)

    def knows(self, wanted: Wanted) -> bool:
        return isinstance(wanted.question, OfGroup)

    def told(self, wanted: Wanted) -> SignalObserved:
        self.asked.append(wanted)
        if self.value is None:
            raise UnavailableError("it does not answer")
        return SignalObserved(
            app=wanted.app,
            kind=wanted.kind,
            name=wanted.name,
            series=wanted.series,
            source=self.name,
            observed_at=datetime.now(UTC),
            value=self.value,
        )


@pytest.fixture
def http(pair: Pair, tmp_path: Path) -> Iterator[httpx.Client]:
    pair.specify("chat")
    with running(pair, [], tmp_path) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client


def sent(http: httpx.Client, **signal: object) -> httpx.Response:
    one = {"app": "chat", "name": "jobs", "value": 3, **signal}
    said = {name: value for name, value in one.items() if value is not None}
    return http.post(
        "/v1/signals",
        content=json.dumps({"signals": [said]}),
        headers={"content-type": "application/json"},
    )


def test_only_what_policies_name_is_asked_for() -> None:
    apps = {
        "ocr": Specified(there=True, policy=LAGGING),
        "asr": Specified(there=True, policy=Policy(max=9, metrics=(*METRICS, METRICS[0]))),
        "jobs": Specified(there=True, policy=Policy(max=9, signals={"x": Signal(target=1)})),
        "llm": Specified(there=True),
    }
    found = wanted(apps)
    assert [(each.app, each.kind.value, each.name, each.series) for each in found] == [
        ("asr", "pods", "sessions", ""),
        ("asr", "object", "hits", "Service/front"),
        ("asr", "external", "queue", ""),
        ("ocr", "lag", "pages", "ocr a,b"),
    ]
    assert [type(each.question) for each in found] == [OfPods, OfObject, External, OfGroup]


@pytest.mark.slow
def test_a_signal_that_was_sent_stands_in_the_log_and_is_shown(
    http: httpx.Client, pair: Pair
) -> None:
    assert sent(http, source="rabbit", arrived_per_s=1.5).status_code == 204
    [fact] = pair.signalled()
    assert (fact.app, fact.kind, fact.name, fact.value) == ("chat", SignalKind.QUEUE, "jobs", 3.0)
    assert (fact.source, fact.arrived_per_s) == ("api/rabbit", 1.5)
    within(60, lambda: http.get("/v1/signals").json()["signals"])
    [row] = http.get("/v1/signals", params={"app": "chat"}).json()["signals"]
    assert (row["value"], row["source"], row["partitions"]) == (3.0, "api/rabbit", 0)
    assert http.get("/v1/signals", params={"app": "other"}).json() == {"signals": []}
    assert sent(http, kind="pods", value=None, by_pod={"a": 1}).status_code == 204


@pytest.mark.slow
def test_what_can_not_be_is_refused_with_its_place(http: httpx.Client, pair: Pair) -> None:
    now = datetime.now(UTC)
    refused: list[tuple[dict[str, object], str]] = [
        ({"value": float("nan")}, "signals.0.value"),
        ({"value": float("inf")}, "signals.0.value"),
        ({"value": -1}, "signals.0.value"),
        ({"value": 1e16}, "signals.0.value"),
        ({"value": "many"}, "signals.0.value"),
        ({"value": None}, "signals.0.value"),
        ({"by_pod": {"a": 1}}, "signals.0.value"),
        ({"kind": "pods"}, "signals.0.by_pod"),
        ({"kind": "pods", "value": None, "by_pod": {"a": float("nan")}}, "signals.0.by_pod.a"),
        ({"kind": "lag"}, "signals.0.kind"),
        ({"kind": "external", "arrived_per_s": 1}, "signals.0.arrived_per_s"),
        ({"arrived_per_s": -1}, "signals.0.arrived_per_s"),
        ({"observed_at": (now + timedelta(hours=1)).isoformat()}, "signals.0.observed_at"),
        ({"observed_at": (now - timedelta(minutes=6)).isoformat()}, "signals.0.observed_at"),
        ({"observed_at": "2026-01-01T00:00:00"}, "signals.0.observed_at"),
        ({"name": ""}, "signals.0.name"),
        ({"source": "a b"}, "signals.0.source"),
        ({"unheard": 1}, "signals.0.unheard"),
    ]
    for signal, where in refused:
        answer = sent(http, **signal)
        assert (answer.status_code, where in answer.json()["detail"]) == (422, True), answer.text
    unknown = sent(http, app="nobody")
    assert (unknown.status_code, unknown.json()["detail"]) == (
        404,
        "signals.0.app: there is no application 'nobody'",
    )
    assert http.post("/v1/signals", json={"signals": []}).status_code == 422
    assert http.post("/v1/signals", json={"signals": [{}] * 1001}).status_code == 422
    large = {"signals": [{"app": "chat", "name": "x" * 2**20, "value": 1}]}
    assert http.post("/v1/signals", json=large).status_code == 413
    del http.headers["authorization"]
    assert sent(http).status_code == 401
    assert pair.signalled() == []


@pytest.mark.slow
def test_204_is_said_only_when_the_log_has_it(http: httpx.Client, pair: Pair) -> None:
    assert isinstance(pair.log, MemoryLog)
    assert sent(http).status_code == 204
    pair.log.cut()
    try:
        answer = sent(http)
    finally:
        pair.log.mend()
    assert answer.status_code == 503
    assert "send them again" in answer.json()["detail"]


@pytest.mark.slow
def test_a_lag_is_read_and_a_source_that_does_not_know_says_nothing(
    pair: Pair, tmp_path: Path
) -> None:
    source = Told()
    pair.specify("ocr", LAGGING)
    with running(pair, [], tmp_path, sources=[source]) as http:
        within(60, pair.signalled)
        source.value = None
        asked = len(source.asked)
        within(60, lambda: len(source.asked) > asked + 3)
        said = len(pair.signalled())
        within(60, lambda: len(source.asked) > asked + 6)
        assert len(pair.signalled()) == said
        assert {fact.value for fact in pair.signalled()} == {7.0}
        source.value = 0.0
        within(60, lambda: pair.signalled()[-1].value == 0.0)
        within(60, lambda: http.get("/v1/signals").json()["signals"][0]["value"] == 0.0)


@pytest.mark.slow
def test_two_processes_share_the_reading(pair: Pair, tmp_path: Path) -> None:
    one, two = Told(), Told()
    pair.specify("ocr", LAGGING)
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    with (
        running(pair, [], folders[0], sources=[one]),
        running(pair, [], folders[1], sources=[two]),
    ):
        within(60, lambda: len(one.asked) + len(two.asked) > 8)
    assert {fact.source for fact in pair.signalled()} == {"kafka"}
    times = [fact.observed_at for fact in pair.signalled()]
    assert times[0] > NOON
