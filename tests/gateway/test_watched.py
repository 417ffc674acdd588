"""Envoy's files: what a change of one replica costs, and what each replica is told to be."""

import json
from collections.abc import Mapping
from dataclasses import replace

from midstage.contracts.limits import FailureRule
from midstage.gateway.model.apps import App, Endpoint, Replica, Routing, Setup
from midstage.gateway.views.watched import routes_version, steps

AT = Endpoint(host="127.0.0.1", port=40001)
SETUP = Setup(
    edge="edge-1",
    config_dir="/config",
    request_log="/log/current.jsonl",
    listen=AT,
    admin=AT,
    throttle=AT,
    caller_reader="",
    usage_reader="",
)
POD = Replica(endpoint=AT, pod="p", cluster="local", revision="r1", resource_version=1)


def app(name: str, *replicas: Replica) -> App:
    return App(
        name=name,
        prefix=f"/{name}",
        hosts=(),
        replicas=replicas,
        on_throttle_failure=FailureRule.OPEN,
        timeout_s=1.0,
    )


BEFORE = Routing(apps=(app("chat", POD), app("code")))


def changed(after: Routing) -> Mapping[str, bytes]:
    return dict(steps(SETUP, before=BEFORE, after=after))


def test_a_replica_s_change_is_its_application_s_alone() -> None:
    after = Routing(apps=(app("chat", replace(POD, out=True, resource_version=2)), app("code")))
    files = changed(after)

    assert list(files) == ["eds-chat.json"]
    (resource,) = json.loads(files["eds-chat.json"])["resources"]
    (replica,) = resource["endpoints"][0]["lb_endpoints"]
    assert replica["health_status"] == "DRAINING"
    assert replica["metadata"]["filter_metadata"]["midstage"] == {
        "pod": "p",
        "revision": "r1",
        "cluster": "local",
    }
    assert routes_version(after) == routes_version(BEFORE)


def test_a_route_s_change_is_in_all_files_and_in_their_version() -> None:
    after = Routing(apps=(replace(app("chat", POD), prefix="/other"), app("code")))

    assert {"rds.json", "cds.json", "lds.json", "bootstrap.json"} <= set(changed(after))
    assert routes_version(after) != routes_version(BEFORE)


def test_workers_hear_of_a_drain_at_once() -> None:
    """By default Envoy merges changes of health: a drained pod would get requests for a second."""
    clusters = json.loads(changed(Routing(apps=(app("chat", POD),)))["cds.json"])["resources"]
    (chat,) = [cluster for cluster in clusters if cluster["name"] == "chat"]

    assert chat["common_lb_config"]["update_merge_window"] == "0.000s"


def test_a_readiness_path_is_the_application_s_own() -> None:
    after = Routing(apps=(replace(app("chat", POD), readiness_path="/health"), app("code")))
    clusters = json.loads(changed(after)["cds.json"])["resources"]
    paths = {
        cluster["name"]: check["http_health_check"]["path"]
        for cluster in clusters
        for check in cluster.get("health_checks", [])
    }

    assert paths == {"chat": "/health", "code": "/readyz"}
