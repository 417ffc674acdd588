"""Custom and external metrics, from a small server that answers as the metrics APIs do."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from midstage.cluster.connect import measures
from midstage.cluster.kubernetes.measures import Measures
from midstage.contracts.autoscaling import Described, Identifier, Requirement, Selector
from midstage.contracts.errors import UnavailableError
from tests.cluster.apiserver import ApiServer, Asked, Json, Said, api_server, said, status

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAID = Identifier(
    name="sessions",
    selector=Selector(
        match_labels={"tier": "paid"},
        match_expressions=(Requirement(key="zone", operator="In", values=("b", "a")),),
    ),
)
INGRESS = Described(kind="Ingress", name="main", api_version="networking.k8s.io/v1")


def item(value: str, name: str = "chat-0", at: str = "2026-01-01T12:00:00Z") -> Json:
    return {
        "describedObject": {"kind": "Pod", "name": name, "namespace": "default"},
        "metric": {"name": "sessions", "selector": None},
        "timestamp": at,
        "windowSeconds": 60,
        "value": value,
        "selector": None,
    }


def items(*told: Json) -> Said:
    return said({"kind": "MetricValueList", "metadata": {}, "items": list(told)})


GROUPS: Json = {
    "groups": [
        {
            "name": "custom.metrics.k8s.io",
            "versions": [{"version": "v1beta1"}, {"version": "v1beta2"}],
        },
        {"name": "external.metrics.k8s.io", "versions": [{"version": "v1beta1"}]},
    ]
}


@contextmanager
def asking(folder: Path, told: dict[str, Said]) -> Iterator[tuple[Measures, ApiServer]]:
    """Measures of a cluster that answers so by path."""

    def answers(asked: Asked) -> Said | None:
        if asked.path == "/apis":
            return told.get("/apis", said(GROUPS))
        if asked.path == "/api":
            return said({"versions": ["v1"]})
        missing = said(status(404, "the metric is not served"), status=404)
        return told.get(asked.path, missing)

    with api_server(folder, answers) as api:
        made = measures("far", f"kubeconfig:{api.kubeconfig}")
        assert made is not None
        yield made, api
        made.close()


def test_a_value_of_each_pod_of_the_application(tmp_path: Path) -> None:
    told = {
        f"{CUSTOM}/pods/*/sessions": items(
            item("1500m"), item("2", "chat-1", "2026-01-01T12:00:05Z")
        )
    }
    with asking(tmp_path, told) as (measured, api):
        found = measured.of_pods(PAID, app="chat")
    assert (found.by_pod, found.value, found.at) == ({"chat-0": 1.5, "chat-1": 2.0}, None, AT)
    assert api.asked[-1].query == {
        "labelSelector": "midstage.dev/app=chat",
        "metricLabelSelector": "tier=paid,zone in (a,b)",
    }
    assert api.asked[-1].headers["authorization"] == "Bearer secret"


def test_a_value_of_an_object_whose_plural_is_asked_for_once(tmp_path: Path) -> None:
    kinds: Json = {
        "resources": [
            {"name": "ingresses/status", "kind": "Ingress"},
            {"name": "ingresses", "kind": "Ingress"},
        ]
    }
    told = {
        "/apis/networking.k8s.io/v1": said(kinds),
        f"{CUSTOM}/ingresses.networking.k8s.io/main/hits": items(item("12", "main")),
        "/api/v1": said({"resources": [{"name": "services", "kind": "Service"}]}),
        f"{CUSTOM}/services/front/hits": items(item("3", "front")),
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/other/metrics/hits": items(item("4")),
    }
    hits = Identifier(name="hits")
    with asking(tmp_path, told) as (measured, api):
        assert measured.of_object(hits, INGRESS).value == 12
        assert measured.of_object(hits, INGRESS).value == 12
        assert measured.of_object(hits, Described(kind="Service", name="front")).value == 3
        assert measured.of_object(hits, Described(kind="Namespace", name="other")).value == 4
        assert [asked.path for asked in api.asked].count("/apis/networking.k8s.io/v1") == 1
        with pytest.raises(UnavailableError, match="serves no Route in v1"):
            measured.of_object(hits, Described(kind="Route", name="x"))


def test_an_external_metric_is_the_sum_of_its_series(tmp_path: Path) -> None:
    told = {f"{EXTERNAL}/sessions": items(item("1k"), item("500m"))}
    with asking(tmp_path, told) as (measured, api):
        found = measured.external(PAID)
    assert (found.value, found.at) == (1000.5, AT)
    assert api.asked[-1].query == {"labelSelector": "tier=paid,zone in (a,b)"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (items(), "no series"),
        (items(item("many")), "no quantity"),
        (items(item("-1")), "can be no load"),
        (said({"items": [{"value": 3}]}), "can't be read"),
        (said(status(403, "not for you"), status=403), "not for you"),
        (said(status(500, "the adapter is ill"), status=500), "the adapter is ill"),
    ],
)
def test_what_is_no_figure_is_unknown_and_never_zero(
    tmp_path: Path, answer: Said, reason: str
) -> None:
    with (
        asking(tmp_path, {f"{EXTERNAL}/sessions": answer}) as (measured, _),
        pytest.raises(UnavailableError, match=reason),
    ):
        measured.external(PAID)


def test_no_pods_and_several_objects_are_unknown(tmp_path: Path) -> None:
    told = {
        f"{CUSTOM}/pods/*/sessions": items(),
        "/api/v1": said({"resources": [{"name": "services", "kind": "Service"}]}),
        f"{CUSTOM}/services/front/sessions": items(item("1"), item("2")),
    }
    with asking(tmp_path, told) as (measured, _):
        with pytest.raises(UnavailableError, match="of no pod of chat"):
            measured.of_pods(PAID, app="chat")
        with pytest.raises(UnavailableError, match="2 values of sessions, not one"):
            measured.of_object(PAID, Described(kind="Service", name="front"))


def test_a_cluster_without_an_adapter_and_a_local_one_have_none(tmp_path: Path) -> None:
    with asking(tmp_path, {"/apis": said({"groups": []})}) as (measured, _):
        with pytest.raises(UnavailableError, match="nothing of that group"):
            measured.external(PAID)
        with pytest.raises(UnavailableError, match="nothing of that group"):
            measured.of_pods(PAID, app="chat")
    assert measures("local", "http://127.0.0.1:1") is None
