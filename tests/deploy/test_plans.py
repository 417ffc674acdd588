"""What the cluster says to a spec before anything is done, and what deploy makes of it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from midstage.cluster.memory import MemoryCluster
from midstage.cluster.objects import Preview, Workload
from midstage.contracts.errors import UnavailableError
from midstage.contracts.running import Disruption
from midstage.deploy.main import Topics
from midstage.eventlog.memory import MemoryLog
from midstage.testkit.waiting import within
from tests.deploy.conftest import CLUSTER, Neighbours, create, running

pytestmark = pytest.mark.slow
QUOTA = "exceeded quota: q, requested: pods=1, used: pods=4, limited: pods=4"


class Strict(MemoryCluster):
    """Would take nothing of the applications named in ``refused``; says nothing of ``silent``."""

    refused: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    strays: tuple[str, ...] = ()

    def astray(self, wanted: Mapping[str, Disruption | None], /) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(wanted, self.strays) if self.strays else {}

    def preview(self, workload: Workload, *, expected: int) -> Preview:
        if workload.app in self.silent:
            raise UnavailableError("no route to host")
        told = super().preview(workload, expected=expected)
        words = (QUOTA,) if workload.app in self.refused else ()
        return msgspec.structs.replace(told, refusals=words)


def a_platform() -> tuple[Strict, Neighbours]:
    log, read, strict = MemoryLog(), Topics(), Strict(name=CLUSTER)
    create(log, read)
    return strict, Neighbours(log=log, read=read, cluster=strict)


def test_what_the_cluster_would_not_take_is_refused_up_front(tmp_path: Path) -> None:
    strict, around = a_platform()
    strict.refused, strict.silent = frozenset({"large"}), frozenset({"dark"})
    with around.at_work(), running(around.log, strict, tmp_path) as deploy:
        within(60, lambda: deploy.http.get("/readyz").is_success)
        body = {"command": ["one"]}

        refused = deploy.http.put("/v1/apps/large", json=body)
        assert (refused.status_code, QUOTA in refused.json()["detail"]) == (409, True)
        assert deploy.http.get("/v1/apps/large").status_code == 404
        told = deploy.http.post("/v1/apps/large/diff", json=body).json()["cluster"]
        assert (told["refusals"], told["creates"]) == ([QUOTA], True)

        even_so = deploy.http.put("/v1/apps/large", params={"even_so": "true"}, json=body)
        assert even_so.json()["outcome"] == "created"

        unknown = deploy.http.post("/v1/apps/dark/diff", json=body).json()["cluster"]
        assert (unknown["unknown"], unknown["changes"]) == ("no route to host", [])
        assert deploy.http.put("/v1/apps/dark", json=body).json()["outcome"] == "created"


def test_what_somebody_made_of_service_and_budget_is_shown(tmp_path: Path) -> None:
    strict, around = a_platform()
    strict.strays = ("kubectl: services spec.sessionAffinity",)
    with around.at_work(), running(around.log, strict, tmp_path) as deploy:
        body = {"command": ["one"], "drift": "tolerate"}
        assert deploy.http.put("/v1/apps/chat", json=body).is_success
        shown = [f"{strict.strays[0]} (tolerated)"]
        within(60, lambda: deploy.status("chat")["drift"] == shown)
        told = deploy.http.post("/v1/apps/chat/diff", json=body).json()["cluster"]
        assert told["conflicts"] == list(strict.strays)


def test_a_command_that_was_taken_has_its_outcome_though_it_would_be_refused_now(
    tmp_path: Path,
) -> None:
    strict, around = a_platform()
    with around.at_work(), running(around.log, strict, tmp_path) as deploy:
        within(60, lambda: deploy.http.get("/readyz").is_success)
        named = {"idempotency-key": "once"}
        first = deploy.http.put("/v1/apps/chat", json={"command": ["one"]}, headers=named)
        strict.refused = frozenset({"chat"})
        again = deploy.http.put("/v1/apps/chat", json={"command": ["one"]}, headers=named)
        assert (again.json()["repeated"], again.json()["version"]) == (
            True,
            first.json()["version"],
        )
        other = deploy.http.put("/v1/apps/chat", json={"command": ["two"]})
        assert other.status_code == 409
