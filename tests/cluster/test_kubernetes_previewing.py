"""Stories of asking a real Kubernetes what it would make of a write, without doing it."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from midstage.cluster.kubernetes.connection import MERGE
from midstage.cluster.protocol import ConflictError
from midstage.contracts.cluster import Amount
from midstage.contracts.running import Source, Volume
from midstage.testkit.waiting import within

from .site import Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


def test_what_changes_just_while_it_is_previewed_is_no_word_of_the_clusters(site: Site) -> None:
    site.put(site.workload(3))
    site.settled()
    stop = threading.Event()

    def change_without_end() -> None:
        for paused in itertools.cycle((True, False)):
            if stop.is_set():
                return
            site.by_hand({"spec": {"paused": paused}})

    conflicts = 0
    with ThreadPoolExecutor() as others:
        changing = others.submit(change_without_end)
        try:
            for _ in range(20):
                try:
                    told = site.previewer.preview(site.workload(4), expected=site.version())
                except ConflictError:
                    conflicts += 1
                else:
                    assert told.refusals == ()
        finally:
            stop.set()
        changing.result()
    assert conflicts


def test_a_preview_tells_in_the_clusters_words_what_it_would_not_take(site: Site) -> None:
    core = f"/api/v1/namespaces/{site.namespace}"
    hard = {"pods": "4", "requests.cpu": "1"}
    site.ask("POST", f"{core}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    bound = {"type": "Container", "max": {"memory": "100Mi"}}
    limits = {"metadata": {"name": "l"}, "spec": {"limits": [bound]}}
    site.ask("POST", f"{core}/limitranges", limits)
    within(60, lambda: "status" in site.ask("GET", f"{core}/resourcequotas/q"))
    within(60, lambda: site.ask("GET", f"{core}/resourcequotas/q")["status"].get("hard"))
    good = site.workload(3).template

    def refused(replicas: int = 3, **template: object) -> str:
        changed = msgspec.structs.replace(good, **template)
        told = site.previewer.preview(site.workload(replicas, template=changed), expected=0)
        return "\n".join(told.refusals)

    assert refused() == ""
    assert refused(5) == ("exceeded quota: q, requested: pods=5, used: pods=0, limited: pods=4")
    assert "maximum memory usage per Container is 100Mi" in refused(
        requests=Amount(cpu=0.1, memory_mb=200)
    )
    assert "no PriorityClass with name urgent was found" in refused(priority="urgent")
    assert refused(env_from={"K": Source(secret="s", key="k")}) == "there is no Secret s"
    site.ask("POST", f"{core}/secrets", {"metadata": {"name": "s"}, "stringData": {"other": "x"}})
    assert refused(env_from={"K": Source(secret="s", key="k")}) == "Secret s has no key k"
    volumes = (Volume(path="/a", config="c"), Volume(path="/b", claim="d"))
    assert refused(volumes=volumes).splitlines() == [
        "there is no ConfigMap c",
        "there is no PersistentVolumeClaim d",
    ]
    assert "Invalid value" in refused(node_selector={"not a label!": "x"})
    assert site.found("deployments", "/apis/apps/v1") == []
    assert site.found("pods") == []


def test_pod_security_speaks_before_there_is_a_deployment(site: Site) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    site.ask(
        "PATCH", f"/api/v1/namespaces/{site.namespace}", {"metadata": {"labels": label}}, MERGE
    )

    def refusals() -> tuple[str, ...]:
        return site.previewer.preview(site.workload(), expected=0).refusals

    # the server hears of a namespace's new label a moment after that stands
    told = within(60, refusals)
    assert any('violates PodSecurity "restricted' in each for each in told)
