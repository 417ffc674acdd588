"""The whole gateway: its settings, its API, and requests through Envoy into a real Kafka."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from midstage.chassis.settings import SettingError
from midstage.contracts.errors import RefusedError
from midstage.contracts.fact import Event, Fact
from midstage.contracts.requests import Outcome
from midstage.contracts.topics import Topic
from midstage.eventlog.codec import Decoder
from midstage.eventlog.kafka import KafkaLog
from midstage.gateway.adapters.wanted import signing_key
from midstage.gateway.config import from_env
from midstage.gateway.main import Topics, compose
from midstage.testkit.waiting import within
from tests import patient
from tests.kafka import kafka_log
from tests.ports import free_port

from .conftest import DEADLINE_S, EDGE, KEY, Edge
from .replica import Replica
from .shipping import all_of, is_genuine

TOKEN = "a-token-of-the-test"
IN_FORCE = {
    "brief": ["serving"],
    "chat": ["serving"],
    "empty": [],
    "other": ["serving"],
    "tight": ["serving"],
}


@pytest.fixture
def env(tmp_path: Path) -> Mapping[str, str]:
    """What the supervisor gives to gateway."""
    for name, content in (("token", TOKEN), ("edge-keys.json", json.dumps({EDGE: KEY.hex()}))):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(content)
    values = {
        "KAFKA": "127.0.0.1:1",
        "PORT": str(free_port()),
        "TOKEN_FILE": str(tmp_path / "token"),
        "EDGE": EDGE,
        "CONFIG_DIR": str(tmp_path / "config"),
        "LOG_DIR": str(tmp_path / "log"),
        "STATE_DIR": str(tmp_path / "state"),
        "APPS_FILE": str(tmp_path / "apps.json"),
        "API_KEYS_FILE": str(tmp_path / "api-keys.json"),
        "EDGE_KEYS_FILE": str(tmp_path / "edge-keys.json"),
        "LISTEN_PORT": str(free_port()),
        "ENVOY_ADMIN_PORT": str(free_port()),
        "THROTTLE_ADDRESS": "127.0.0.1:1",
    }
    return {f"MIDSTAGE_GATEWAY_{name}": value for name, value in values.items()}


def own_topics() -> Topics:
    """Topics that nobody else uses."""
    prefix = f"test.{uuid.uuid4().hex[:12]}"

    def named(topic: Topic) -> Topic:
        return replace(topic, name=f"{prefix}.{topic.name}")

    own = Topics()
    return Topics(
        requests=named(own.requests),
        edges=named(own.edges),
        routes=named(own.routes),
        apps=named(own.apps),
        cluster=named(own.cluster),
        inventory=named(own.inventory),
    )


@contextmanager
def served(run: Callable[[], int], stop: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()


@pytest.mark.platform
@pytest.mark.slow
def test_a_request_through_envoy_is_a_signed_event_in_kafka(
    env: Mapping[str, str], edge: Edge, replica: Replica, kafka: str, tmp_path: Path
) -> None:
    settings = from_env(
        {
            **env,
            "MIDSTAGE_GATEWAY_KAFKA": kafka,
            "MIDSTAGE_GATEWAY_ENVOY_ADMIN_PORT": str(edge.admin_port),
            "MIDSTAGE_GATEWAY_LISTEN_PORT": str(edge.port),
            "MIDSTAGE_GATEWAY_LOG_DIR": str(edge.log_dir),
            "MIDSTAGE_GATEWAY_CONFIG_DIR": str(edge.config_dir),
            "MIDSTAGE_GATEWAY_APPS_FILE": str(edge.apps_file),
            "MIDSTAGE_GATEWAY_API_KEYS_FILE": str(edge.keys_file),
        }
    )
    topics = own_topics()
    log = kafka_log(kafka)
    process = compose(settings, topics=topics)
    base = f"http://127.0.0.1:{settings.port}"
    with served(process.run, process.stop):
        within(DEADLINE_S, lambda: _answers(f"{base}/readyz"))
        edge.get("/chat/v1/x", "through")
        within(DEADLINE_S, lambda: of_ref(log, topics.requests, "through"))
        within(DEADLINE_S, lambda: all_of(log, topics.edges.name))
        source = within(DEADLINE_S, lambda: shipped(base))
        within(DEADLINE_S, lambda: ways(base) == IN_FORCE)
        metrics = patient.get(f"{base}/metrics").text

    (event,) = of_ref(log, topics.requests, "through")
    assert all(is_genuine(record) for record in all_of(log, topics.requests.name))
    assert event == replace(edge.event("through"), source=source, seq=event.seq)
    assert getattr(event.data, "outcome", None) is Outcome.OK
    assert "midstage_gateway_lines_total" in metrics


@pytest.mark.slow
def test_without_kafka_gateway_configures_envoy_and_says_that_it_is_not_ready(
    env: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "apps.json").write_text('{"apps": [{"name": "chat", "prefix": "/chat"}]}')
    (tmp_path / "api-keys.json").touch(mode=0o600)
    (tmp_path / "api-keys.json").write_text("{}")
    settings = from_env(env)
    process = compose(settings)
    base = f"http://127.0.0.1:{settings.port}"
    with served(process.run, process.stop):
        within(DEADLINE_S, (tmp_path / "config" / "bootstrap.json").exists)
        within(DEADLINE_S, lambda: _status(f"{base}/healthz") == 200)
        assert _status(f"{base}/readyz") == 503
        assert patient.get(f"{base}/v1/sources").json() == {"sources": []}


def test_a_missing_setting_is_named(env: Mapping[str, str]) -> None:
    for name in env.keys() - {"MIDSTAGE_GATEWAY_APPS_FILE"}:
        with pytest.raises(SettingError, match=name):
            from_env({key: value for key, value in env.items() if key != name})


def test_people_without_applications_of_their_own_need_no_file(env: Mapping[str, str]) -> None:
    assert from_env({**env, "MIDSTAGE_GATEWAY_APPS_FILE": ""}).apps_file is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE", "edge/1"),
        ("THROTTLE_ADDRESS", "nowhere"),
        ("LISTEN_PORT", "70000"),
        ("ROTATE_BYTES", "1"),
    ],
)
def test_a_wrong_setting_is_named(env: Mapping[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        from_env({**env, f"MIDSTAGE_GATEWAY_{name}": value})


def test_an_edge_without_a_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps({"edge-2": KEY.hex()}))

    with pytest.raises(RefusedError, match="edge-1"):
        signing_key(file, "edge-1")
    assert signing_key(file, "edge-2") == KEY
    file.chmod(0o640)
    with pytest.raises(RefusedError, match="chmod 600"):
        signing_key(file, "edge-2")


def of_ref(log: KafkaLog, topic: Topic, ref: str) -> Sequence[Event[Fact]]:
    """The events of the request with this number of the caller's."""
    events = [Decoder(topic)(record) for record in all_of(log, topic.name)]
    return [event for event in events if getattr(event.data, "ref", "") == ref]


def shipped(base: str) -> str:
    """The one source's name, as soon as Kafka has acknowledged a line of it."""
    (source,) = patient.get(f"{base}/v1/sources").json()["sources"]
    return str(source["source"]) if source["shipped"] else ""


def ways(base: str) -> Mapping[str, list[str]]:
    """What Envoy does with each application's replicas."""
    routes = patient.get(f"{base}/v1/routes").json()["apps"]
    return {app["app"]: [one["way"] for one in app["endpoints"]] for app in routes}


def _answers(url: str) -> bool:
    return _status(url) == 200


def _status(url: str) -> int:
    try:
        return patient.get(url).status_code
    except httpx.TransportError:
        return 0
