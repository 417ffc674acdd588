"""``describe app``: how an application stands by deploy's word, beside what control sees of it."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from midstage.client import api
from midstage.client.standing import standing
from midstage.deploy.main import Topics
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.control import conftest as control
from tests.deploy.conftest import Neighbours, create, running
from tests.deploy.test_plans import Strict

pytestmark = pytest.mark.slow
Midstage = Callable[..., CompletedProcess[str]]
STRAY = "kubectl: services spec.sessionAffinity"


def test_drift_is_told_with_field_manager_and_what_is_done(
    midstage: Midstage, tmp_path: Path
) -> None:
    log, read, cluster = MemoryLog(), Topics(), Strict(name="memory")
    create(log, read)
    cluster.strays = (STRAY,)
    around = Neighbours(log=log, read=read, cluster=cluster)
    (tmp_path / "control").mkdir()
    with (
        around.at_work(),
        running(log, cluster, tmp_path) as deploy,
        control.running(control.pair_on(MemoryLog()), [cluster], tmp_path / "control") as seen,
    ):
        body = {"command": ["one"], "drift": "tolerate"}
        assert deploy.http.put("/v1/apps/chat", json=body).is_success
        within(60, lambda: deploy.status("chat")["drift"])
        within(60, lambda: seen.get("/v1/apps/chat").is_success)
        asked = ("--server", str(seen.base_url), "--deploy-server", str(deploy.http.base_url))
        done = midstage("describe", "app", "chat", *asked)
        assert done.returncode == 0, done.stderr
        assert f"{STRAY} (tolerated)" in done.stdout
        at = api.service("deploy", directory=tmp_path, server=str(deploy.http.base_url))
        ((name, value),) = standing(at, "nobody")
        assert (name, str(value).partition(":")[0]) == ("Spec", "none")


def test_that_deploy_is_away_is_told_and_hides_nothing_else(tmp_path: Path) -> None:
    away = api.service("deploy", directory=tmp_path, server="http://127.0.0.1:9")
    ((name, value),) = standing(away, "chat")
    assert name == "Stage"
    assert str(value).startswith("unknown: ")
