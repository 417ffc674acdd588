"""``midstage rollout``: steered and followed on a real deploy over a log and a cluster."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from midstage.deploy.main import Topics
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.client.test_apps import CHAT, Midstage, Platform, lives
from tests.deploy.conftest import Neighbours, a_cluster, create, running

pytestmark = pytest.mark.slow
UNDOES = "\nrollout: {on_failure: undo}\n"


@pytest.fixture(scope="module")
def platform(midstage: Midstage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    log, read, cluster = MemoryLog(), Topics(), a_cluster()
    create(log, read)
    directory: Path = tmp_path_factory.mktemp("deploy")
    around = Neighbours(log=log, read=read, cluster=cluster, lives=lives)
    with around.at_work(), running(log, cluster, directory) as deploy:
        yield Platform(deploy=deploy, midstage=midstage, token=directory / "token")


def asked(platform: Platform, *arguments: str) -> tuple[int, str]:
    done = platform.run(*arguments)
    return done.returncode, done.stdout


def test_a_restart_is_followed_to_its_end_and_stands_in_the_history(platform: Platform) -> None:
    assert platform.run("apply", "-f", "-", "--wait", stdin=CHAT).returncode == 0
    before = {pod.name for pod in platform.deploy.cluster.pods()}
    restarted = platform.run("rollout", "restart", "chat", "--wait", "--why", "leaks")
    assert restarted.returncode == 0, restarted.stderr
    assert restarted.stdout.startswith("app chat restarted, revision ")
    assert "app chat ready, 2 of 2" in restarted.stdout
    assert not before & {pod.name for pod in platform.deploy.cluster.pods() if pod.ready}
    code, out = asked(platform, "rollout", "history", "chat", "-o", "json")
    revisions = json.loads(out)["revisions"]
    assert code == 0
    assert [each["generation"] for each in revisions] == [1, 0]
    assert [each["complete"] for each in revisions] == [True, True]
    back = platform.run("rollout", "undo", "chat", "--to", revisions[1]["revision"], "--wait")
    assert back.returncode == 0, back.stderr
    assert f"undone, revision {revisions[1]['revision']}" in back.stdout
    assert asked(platform, "rollout", "status", "chat", "-w")[1].endswith("ready, 2 of 2\n")


def test_what_does_not_roll_is_neither_paused_nor_resumed(platform: Platform) -> None:
    still = CHAT.replace("chat", "still")
    assert platform.run("apply", "-f", "-", "--wait", stdin=still).returncode == 0
    refused = platform.run("rollout", "pause", "still")
    assert refused.returncode == 1
    assert "nothing is rolling in application 'still'" in refused.stderr
    assert "is not paused" in platform.run("rollout", "resume", "still").stderr
    assert "no application 'nobody'" in platform.run("rollout", "restart", "nobody").stderr


def test_a_paused_rollout_waits_for_its_resume(platform: Platform) -> None:
    paused = CHAT.replace("chat", "paused")
    assert platform.run("apply", "-f", "-", "--wait", stdin=paused).returncode == 0
    slow = paused.replace("a]", "slow]")
    assert platform.run("apply", "-f", "-", stdin=slow).returncode == 0
    said = platform.run("rollout", "pause", "paused", "--why", "to look")
    assert "app paused paused, revision " in said.stdout, said.stderr
    within(60, lambda: platform.deploy.status("paused")["stage"] == "paused")
    again = platform.run("rollout", "pause", "paused")
    assert "app paused unchanged" in again.stdout
    assert "paused by" in asked(platform, "rollout", "status", "paused")[1]
    assert "resumed" in platform.run("rollout", "resume", "paused").stdout
    within(60, lambda: platform.deploy.status("paused")["stage"] == "rolling")
    assert platform.run("undo", "paused", "--wait").returncode == 0


def test_whoever_waits_hears_that_the_rollout_was_undone(platform: Platform) -> None:
    good = CHAT.replace("chat", "undone") + UNDOES
    assert platform.run("apply", "-f", "-", "--wait", stdin=good).returncode == 0
    bad = platform.run("apply", "-f", "-", "--wait", stdin=good.replace("a]", "broken]"))
    assert bad.returncode == 1
    assert "no such model" in bad.stderr
    assert "failed" in bad.stderr
    within(60, lambda: platform.deploy.status("undone")["stage"] == "ready")
    [newest, *_] = json.loads(asked(platform, "rollout", "history", "undone", "-o", "json")[1])[
        "revisions"
    ]
    assert newest["undoes"]
    assert newest["by"] == "deploy"
