"""The loop on a real Kubernetes: exact, without a dip, and nothing aborted while it turns."""

import uuid
from collections.abc import Sequence
from functools import partial

import httpx
import msgspec
import pytest

from midstage.contracts.apps import AppSpec, revision_of
from midstage.contracts.cluster import Phase
from midstage.local import apps
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests import patient
from tests.stories import test_loop as local
from tests.stories.evidence import Orders, assert_exact, ready, replayed_through, second
from tests.stories.loop import Pod, await_settled, delete, fault, pods, put_settled, settled, spec
from tests.stories.steady import steady
from tests.stories.turns import Turns, another, at_once, turned

from .seen import Seen, assert_told_exactly, pods_made, told

pytestmark = [
    *(pytest.mark.kubernetes, pytest.mark.platform, pytest.mark.slow),
]

TURNS = Turns(scale_downs=3, scale_ups=1, updates=1)


def test_a_trace_is_counted_exactly_and_replicas_are_only_ever_what_was_decided(
    platform: Platform, seen: Seen
) -> None:
    before = len(local.decided(platform, "chat"))
    with seen.replicas() as written:
        assert_exact(replayed_through(platform, lambda: None, requests=400))
        within(90, lambda: settled(platform, "chat", replicas=apps.LEAST), every=0.2)
    found = local.decided(platform, "chat")[before:]
    assert any(fact.replicas > fact.previous for fact in found)
    course = [found[0].previous, *(fact.replicas for fact in found)]
    assert list(dict.fromkeys(written["chat"])) == list(dict.fromkeys(course))
    assert_told_exactly(platform, seen)


def test_scale_downs_and_updates_of_several_at_once_abort_no_request(platform: Platform) -> None:
    load = turned(platform, ["one", "two", "three"], TURNS, callers=3)
    assert load.offered > 300
    assert load.share_ok >= local.GOOD, load.ends
    assert not load.aborted, load.ends
    for app in ("one", "two", "three"):
        delete(platform, app)


def test_two_deploy_processes_carry_out_one_command_once(platform: Platform) -> None:
    put_settled(platform, "steady", spec("steady", replicas=2))
    before = pods_made(told(platform), "steady")
    wanted = another("steady", replicas=3, number=uuid.uuid4().hex)
    with second(platform, "deploy") as other:
        within(60, lambda: ready(other))
        answers: list[httpx.Response] = []
        command = uuid.uuid4().hex
        at_once(
            [
                partial(_put, platform, base, wanted, command, answers)
                for base in (platform.addresses.deploy, other)
            ]
        )
        # whom the log was too slow to tell has asked again: at most one made it, the other heard
        assert sorted(answer.json()["repeated"] for answer in answers)[-1] is True
        assert len({answer.json()["version"] for answer in answers}) == 1
        await_settled(platform, "steady", replicas=3, revision=revision_of(wanted))
    assert len(pods_made(told(platform), "steady") - before) == 3


test_a_woken_zombie_deploy_cannot_undo_a_newer_state = (
    local.test_a_woken_zombie_deploy_cannot_undo_a_newer_state
)


def test_a_node_dies_under_load_and_its_pods_return_elsewhere(
    platform: Platform, seen: Seen
) -> None:
    put_settled(platform, "steady", spec("steady", replicas=4))
    node = pods(platform, "steady")[0].node
    with steady(platform, "steady", callers=4) as load:
        fault(platform, fault="node_dies", node=node)
        try:
            within(90, lambda: _elsewhere(pods(platform, "steady"), node, count=4), every=0.2)
            before = load.ends["ok"]
            within(60, lambda: load.ends["ok"] > before + 20)
        finally:
            fault(platform, fault="node_returns", node=node)
        await_settled(platform, "steady", replicas=4)
    assert_told_exactly(platform, seen)


def _elsewhere(found: Sequence[Pod], node: str, *, count: int) -> bool:
    """So many are ready on other nodes; those of the dead one are lost until it is back."""
    left = [pod for pod in found if pod.node == node]
    serving = [pod for pod in found if pod.ready and not pod.draining and pod.node != node]
    return len(serving) == count and all(pod.phase == Phase.LOST for pod in left)


@pytest.mark.parametrize(
    ("place", "nth"),
    [
        *(("deploy:decided", 1), ("deploy:written", 1), ("deploy:written", 3)),
        *(("deploy:told", 1), ("append:sent", 1)),
    ],
)
def test_deploy_dies_within_a_rollout_and_the_end_is_right(
    platform: Platform, orders: Orders, place: str, nth: int
) -> None:
    local.killed_in_an_update(platform, orders, "deploy", place, nth=nth)


def _put(
    platform: Platform, base: str, wanted: AppSpec, command: str, answers: list[httpx.Response]
) -> None:
    headers = {"authorization": f"Bearer {platform.token}", "idempotency-key": command}
    body = msgspec.json.encode(wanted)
    path = f"{base}/v1/apps/steady"
    answers.append(patient.answered(lambda: patient.put(path, content=body, headers=headers)))
