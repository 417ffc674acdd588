"""A team's own Deployment on a real Kubernetes is taken over under load, and nobody notices."""

import msgspec
import pytest

from midstage.contracts.apps import revision_of
from midstage.local.platform import Platform
from midstage.testkit.waiting import within
from tests.stories.loop import ask, await_settled, delete, put, spec
from tests.stories.steady import steady
from tests.stories.turns import another

from .seen import Seen

pytestmark = [
    *(pytest.mark.kubernetes, pytest.mark.platform, pytest.mark.slow),
]
APP, THEIRS = "taken", "their-own"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def test_what_a_team_has_running_is_replaced_without_a_failed_request(
    platform: Platform, seen: Seen
) -> None:
    a_copy(platform, seen, THEIRS)
    adopt = f"/v1/apps/{APP}/adopt?workload={THEIRS}"  # refused while it is still changing
    within(60, lambda: ask(platform, "POST", adopt).is_success)
    before = {pod.uid for pod in seen.cluster.list().pods if pod.workload == THEIRS}
    assert len(before) == 2
    wanted = another(APP, replicas=2, number="first")
    put(platform, APP, wanted)
    with steady(platform, APP, callers=3) as load:
        within(60, lambda: load.ends["ok"] > 0)
        unrouted = load.offered - load.ends["ok"]
        await_settled(platform, APP, replicas=2, revision=revision_of(wanted))
        within(60, lambda: not [pod for pod in seen.cluster.list().pods if pod.uid in before])
    assert load.offered - load.ends["ok"] == unrouted, load.ends
    assert not load.aborted, load.ends
    assert THEIRS not in {each.name for each in seen.cluster.list().workloads}
    delete(platform, APP)


def a_copy(platform: Platform, seen: Seen, name: str) -> None:
    """A Deployment as a team would have made it: what an application runs, under other labels."""
    put(platform, "model", spec("model", replicas=1))
    await_settled(platform, "model", replicas=1)
    (model,) = [each for each in seen.cluster.list().workloads if each.app == "model"]
    read = seen.connection.request("GET", f"{DEPLOYMENTS}/{model.name}")
    pod = msgspec.json.decode(read)["spec"]["template"]["spec"]
    delete(platform, "model")
    labels = {"team": name}
    theirs = {
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    seen.connection.request("POST", DEPLOYMENTS, body=msgspec.json.encode(theirs))

    def ready() -> bool:
        read = seen.connection.request("GET", f"{DEPLOYMENTS}/{name}")
        return bool(msgspec.json.decode(read)["status"].get("readyReplicas") == 2)

    within(60, ready)
