"""The loop under load: it scales, survives a node and its own processes, and aborts no request."""

import signal
import subprocess
import sys
import uuid

import msgspec
import pytest

from midstage.contracts.apps import AppSpec, revision_of
from midstage.contracts.scaling import ScaleDecided
from midstage.contracts.topics import SCALING
from midstage.eventlog.appended import Facts, PartitionTaken, logged
from midstage.hpa.stream.replay import replayed
from midstage.local import apps
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient
from tests.kafka import kafka_log

from .evidence import Orders, assert_exact, ready, records_of, replayed_through, second
from .loop import (
    READY_S,
    ask,
    await_settled,
    delete,
    deployed,
    fault,
    pods,
    put,
    put_settled,
    settled,
    spec,
)
from .steady import steady
from .turns import Turns, another, turned

pytestmark = [pytest.mark.platform, pytest.mark.slow]

TURNS = Turns(scale_downs=15, scale_ups=8, updates=5)
"""Of each of two applications."""
BEGINS_WITH = 3
"""Replicas of ``chat`` before anybody calls it."""
GOOD = 0.9995


def decided(platform: Platform, app: str) -> list[ScaleDecided]:
    """All changes of the count that the log accepted, in order."""
    read, facts = logged(SCALING), Facts[object](SCALING)
    versions: dict[int, ScaleDecided] = {}
    for record in records_of(platform, SCALING.name):
        appended = read(record).data
        if isinstance(appended, PartitionTaken):
            continue
        for fact in facts(appended.facts):
            if appended.key == app and isinstance(fact, ScaleDecided):
                versions.setdefault(appended.version, fact)
    return [versions[version] for version in sorted(versions)]


def test_scale_downs_and_updates_abort_no_request(platform: Platform) -> None:
    try:
        load = turned(platform, ["steady", "other"], TURNS, callers=4)
    finally:
        delete(platform, "other")
    assert load.offered > 500
    assert load.share_ok >= GOOD, load.ends
    assert not load.aborted, load.ends


def test_a_node_dies_under_load_and_its_pods_return_elsewhere(platform: Platform) -> None:
    put_settled(platform, "steady", spec("steady", replicas=4))
    node = pods(platform, "steady")[0].node
    with steady(platform, "steady", callers=4) as load:
        fault(platform, fault="node_dies", node=node)
        try:
            within(60, lambda: all(pod.node != node for pod in pods(platform, "steady")))
            await_settled(platform, "steady", replicas=4)
            before = load.ends["ok"]
            within(60, lambda: load.ends["ok"] > before + 20)
        finally:
            fault(platform, fault="node_returns", node=node)


@pytest.mark.parametrize("name", ["stats", "control", "hpa", "deploy", "cluster"])
def test_nothing_shrinks_because_a_process_is_killed(platform: Platform, name: str) -> None:
    put_settled(platform, "steady", spec("steady", replicas=4))
    with steady(platform, "steady", callers=4) as load:
        platform.kill(name)
        put(platform, "steady", spec("steady", replicas=3))
        put_settled(platform, "steady", spec("steady", replicas=4))
    if name != "cluster":  # its pods are its children: they die with it and come back
        assert load.share_ok >= GOOD, load.ends
    within(60, lambda: ready(getattr(platform.addresses, name)))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("deploy", "deploy:decided"),
        ("deploy", "deploy:written"),
        ("deploy", "append:sent"),
        ("control", "control:observed"),
        ("control", "control:written"),
        ("stats", "ledger:inserted"),
        ("stats", "ledger:committed"),
    ],
)
def test_a_death_at_a_named_place_of_an_update_ends_right(
    platform: Platform, orders: Orders, name: str, place: str
) -> None:
    killed_in_an_update(platform, orders, name, place)


def killed_in_an_update(
    platform: Platform, orders: Orders, name: str, place: str, *, nth: int = 1
) -> None:
    put_settled(platform, "steady", spec("steady", replicas=3))
    wanted = another("steady", replicas=3, number=uuid.uuid4().hex)
    with steady(platform, "steady", callers=4) as load:
        orders(name, place, nth=nth)
        put(platform, "steady", wanted)
        within(60, lambda: not orders.left(name))
        await_settled(platform, "steady", replicas=3, revision=revision_of(wanted))
    assert load.share_ok >= GOOD, load.ends


def test_load_rises_and_falls_and_hpa_dies_at_each_named_place(
    platform: Platform, orders: Orders
) -> None:
    # else what an earlier story left there may do for this load, too
    within(READY_S, lambda: len(pods(platform, "chat")) <= BEGINS_WITH)
    before = len(decided(platform, "chat"))

    def deed() -> None:
        # the rise is decided before the first death: on a busy machine the load may not last as
        # long as two starts do
        for place in ("append:sent", "hpa:evaluated"):
            orders("hpa", place)
            within(60, lambda: not orders.left("hpa"))

    assert_exact(replayed_through(platform, deed, requests=800))
    found = decided(platform, "chat")[before:]
    assert any(fact.replicas > fact.previous for fact in found)
    within(90, lambda: settled(platform, "chat", replicas=apps.LEAST), every=0.2)
    last = decided(platform, "chat")[-1]
    assert (last.replicas, last.previous > last.replicas) == (apps.LEAST, True)


def test_two_hpa_and_two_deploy_act_on_each_decision_once(platform: Platform) -> None:
    before = len(decided(platform, "chat"))
    with second(platform, "hpa") as other, second(platform, "deploy") as another:
        within(60, lambda: ready(other) and ready(another))
        assert_exact(replayed_through(platform, lambda: None, requests=500))
        found = decided(platform, "chat")
        for earlier, later in zip(found[before:], found[before + 1 :], strict=False):
            assert later.previous == earlier.replicas
            assert later.replicas != earlier.replicas
        within(90, lambda: settled(platform, "chat", replicas=apps.LEAST), every=0.2)
    assert decided(platform, "chat")[-1].replicas == apps.LEAST


def test_a_woken_zombie_deploy_cannot_undo_a_newer_state(platform: Platform) -> None:
    put_settled(platform, "steady", spec("steady", replicas=2))
    zombie = platform.kill("deploy", signal.SIGSTOP)
    with second(platform, "deploy") as successor:
        within(60, lambda: ready(successor))
        body = msgspec.json.encode(spec("steady", replicas=4))
        headers = {"authorization": f"Bearer {platform.token}", "idempotency-key": uuid.uuid4().hex}
        patient.put(f"{successor}/v1/apps/steady", content=body, headers=headers).raise_for_status()
        await_settled(platform, "steady", replicas=4)
        assert platform.kill("deploy", signal.SIGCONT) == zombie
        within(60, lambda: (found := deployed(platform, "steady")) and found.status.wanted == 4)
    await_settled(platform, "steady", replicas=4)


def test_without_room_an_update_ends_in_place_or_is_refused(platform: Platform) -> None:
    gpus = spec("gpu", replicas=2, resources={"cpu": 0.2, "memory_mb": 64, "gpus": 1})
    try:
        without_room(platform, gpus)
    finally:
        delete(platform, "gpu")
    within(READY_S, lambda: not pods(platform, "gpu"))


def without_room(platform: Platform, gpus: AppSpec) -> None:
    put(platform, "gpu", msgspec.convert(msgspec.to_builtins(gpus), type(gpus)))
    await_settled(platform, "gpu", replicas=2)
    env = {"MIDSTAGE_REPLICA_COLD_START_S": "1", "STORY": "2"}
    newer = msgspec.convert({**msgspec.to_builtins(gpus), "env": env}, type(gpus))
    put(platform, "gpu", newer)
    await_settled(platform, "gpu", replicas=2, revision=revision_of(newer))

    pinned = {**msgspec.to_builtins(newer), "rollout": {"min_available": 2}}
    pinned["env"] = {**env, "STORY": "3"}
    body, command = msgspec.json.encode(pinned), uuid.uuid4().hex
    refused = patient.answered(lambda: ask(platform, "PUT", "/v1/apps/gpu", body, command=command))
    assert refused.status_code == 409
    assert "Insufficient nvidia.com/gpu" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"image": "a", "replica": 3}, "replica: unknown field"),
        ({"image": "a", "scaling": {"min": 5, "max": 2, "targets": {"cpu": 0.5}}}, "scaling.min: "),
        ({"image": "a", "scaling": {"max": 2, "targets": {}}}, "scaling.targets: "),
        ({"image": "a", "replicas": "three"}, "replicas: "),
        ({"image": "a", "command": ["b"]}, "command: "),
    ],
)
def test_a_bad_spec_is_refused_with_its_path(
    platform: Platform, body: dict[str, object], path: str
) -> None:
    refused = ask(platform, "PUT", "/v1/apps/bad", msgspec.json.encode(body))
    assert 400 <= refused.status_code < 500
    assert path in refused.json()["detail"]


def test_every_evaluation_can_be_made_again_byte_for_byte(platform: Platform) -> None:
    again = replayed(kafka_log(platform.addresses.kafka))
    assert again.total > 0
    assert again.first_difference is None
    assert again.from_topics_equal == again.total
    assert again.from_stored_equal == again.total + again.changes


def test_the_commands_of_the_tour_work(platform: Platform) -> None:
    midstage = [sys.executable, "-m", "midstage.client.main"]
    where = ["--dir", str(platform.layout.root)]
    for command in (
        *(["get", "nodes"], ["get", "pods"], ["get", "apps"], ["get", "decisions"]),
        *(["get", "availability"], ["get", "records", "--limit", "3"]),
        *(["describe", "app", "chat"], ["hpa", "explain", "chat"], ["events"]),
    ):
        done = subprocess.run(
            [*midstage, *command, *where], capture_output=True, text=True, check=False, timeout=270
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout.strip(), command
