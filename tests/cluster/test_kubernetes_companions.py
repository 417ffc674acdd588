"""What goes with an application on a real Kubernetes: told where somebody changes it, put right."""

import msgspec
import pytest

from midstage.cluster.kubernetes.connection import MERGE
from midstage.cluster.objects import Workload
from midstage.contracts.running import Disruption

from .site import STRATEGIC, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


def test_what_becomes_of_service_and_budget_is_told_and_put_right(site: Site) -> None:
    workload = site.workload(disruption=Disruption(max_unavailable=2))
    site.put(workload)
    wanted = {"ocr": workload.disruption}
    service = f"/api/v1/namespaces/{site.namespace}/services/ocr"
    budget = f"/apis/policy/v1/namespaces/{site.namespace}/poddisruptionbudgets/ocr"
    astray = site.writer.accompanying.astray

    assert astray(wanted) == {}
    site.ask("DELETE", service)
    site.ask("DELETE", budget)
    assert astray(wanted) == {
        "ocr": ("unknown: services deleted", "unknown: poddisruptionbudgets deleted")
    }
    site.put(workload)
    assert astray(wanted) == {}

    more = {"spec": {"ports": [{"name": "debug", "port": 81}], "sessionAffinity": "ClientIP"}}
    site.ask("PATCH", f"{service}?fieldManager=kubectl", more, STRATEGIC)
    site.ask("PATCH", f"{budget}?fieldManager=kubectl", {"spec": {"maxUnavailable": 9}}, MERGE)
    told = astray(wanted)["ocr"]
    assert "kubectl: services spec.sessionAffinity" in told
    assert "kubectl: poddisruptionbudgets spec.maxUnavailable" in told
    site.put(workload)
    assert astray(wanted) == {}
    spec = site.ask("GET", service)["spec"]
    assert [port["name"] for port in spec["ports"]] == ["http"]
    assert spec["sessionAffinity"] == "None"
    assert site.ask("GET", budget)["spec"]["maxUnavailable"] == 2


def test_a_plan_says_what_it_would_put_right_and_does_nothing(site: Site) -> None:
    workload = site.workload(disruption=Disruption(max_unavailable=2))
    site.put(workload)
    service = f"/api/v1/namespaces/{site.namespace}/services/ocr"
    budget = f"/apis/policy/v1/namespaces/{site.namespace}/poddisruptionbudgets/ocr"

    def told(planned: Workload) -> dict[str, tuple[str, str]]:
        beside = site.previewer.preview(planned, expected=site.version()).beside
        return {each.path: (each.before, each.after) for each in beside}

    assert told(workload) == {}
    more = {"spec": {"sessionAffinity": "ClientIP"}}
    site.ask("PATCH", f"{service}?fieldManager=kubectl", more, STRATEGIC)
    site.ask("PATCH", f"{budget}?fieldManager=kubectl", {"spec": {"maxUnavailable": 9}}, MERGE)
    found = told(workload)
    assert found["poddisruptionbudgets spec.maxUnavailable"] == ("9", "2")
    assert found["services spec.sessionAffinity"] == ('"ClientIP"', "")
    assert told(msgspec.structs.replace(workload, tolerates=True)) == {}
    site.ask("DELETE", service)
    found = told(msgspec.structs.replace(workload, disruption=None))
    assert found["services spec.selector.midstage.dev/app"] == ("", '"ocr"')
    assert found["poddisruptionbudgets spec.maxUnavailable"] == ("9", "")
    assert site.writer.accompanying.astray({"ocr": None}) == {"ocr": ("unknown: services deleted",)}


def test_a_port_that_was_taken_away_is_told_though_nobody_owns_it(site: Site) -> None:
    workload = site.workload()
    site.put(workload)
    service = f"/api/v1/namespaces/{site.namespace}/services/ocr"
    ports = {"spec": {"ports": [{"name": "other", "port": 81, "protocol": "TCP"}]}}
    site.ask("PATCH", f"{service}?fieldManager=kubectl", ports, MERGE)
    assert site.writer.accompanying.astray({"ocr": None})["ocr"]
    site.put(workload)
    assert site.writer.accompanying.astray({"ocr": None}) == {}
    assert [each["name"] for each in site.ask("GET", service)["spec"]["ports"]] == ["http"]


def test_a_service_of_somebody_elses_is_neither_told_nor_touched(site: Site) -> None:
    service = f"/api/v1/namespaces/{site.namespace}/services"
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ocr"},
        "spec": {"ports": [{"port": 1}]},
    }
    site.ask("POST", service, theirs)
    site.put(site.workload())
    assert site.writer.accompanying.astray({"ocr": None}) == {}
    assert site.ask("GET", f"{service}/ocr")["spec"]["ports"][0]["port"] == 1


def test_where_strangers_are_tolerated_they_keep_what_they_set(site: Site) -> None:
    workload = site.workload(disruption=Disruption(max_unavailable=2), tolerates=True)
    site.put(workload)
    budget = f"/apis/policy/v1/namespaces/{site.namespace}/poddisruptionbudgets/ocr"
    site.ask("PATCH", f"{budget}?fieldManager=kubectl", {"spec": {"maxUnavailable": 9}}, MERGE)
    site.put(workload)
    assert site.ask("GET", budget)["spec"]["maxUnavailable"] == 9
    told = site.writer.accompanying.astray({"ocr": workload.disruption})
    assert told == {"ocr": ("kubectl: poddisruptionbudgets spec.maxUnavailable",)}
