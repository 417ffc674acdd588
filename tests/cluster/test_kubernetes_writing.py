"""Stories of writing to a real Kubernetes: two managers, deaths between calls, drift."""

import contextlib
from collections.abc import Callable, Mapping

import msgspec
import pytest

from midstage.cluster.kubernetes import manifests, names
from midstage.cluster.kubernetes.connection import Connection
from midstage.cluster.kubernetes.discovery import Discovery
from midstage.cluster.kubernetes.lines import lines
from midstage.cluster.kubernetes.writing import Writer
from midstage.cluster.objects import Template, Workload
from midstage.cluster.protocol import ConflictError
from midstage.contracts.errors import RefusedError
from midstage.contracts.running import Disruption
from midstage.testkit.waiting import within
from tests.kubernetes import Kubernetes

from .on_kubernetes import namespaced
from .site import STRATEGIC, KilledError, Site

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


def counts_seen(site: Site, change: Callable[[], object]) -> list[int]:
    """The counts of each version of the Deployment that ``change`` left in the history.

    A version of its status alone, of what was so before, is of no newer generation.
    """
    path = f"/apis/apps/v1/namespaces/{site.namespace}/deployments"
    listed = site.ask("GET", path)
    since = listed["metadata"]["resourceVersion"]
    before = max((each["metadata"]["generation"] for each in listed["items"]), default=0)
    change()
    seen: list[int] = []
    until = site.version()
    query: Mapping[str, str | int] = {"watch": "true", "resourceVersion": since}
    with site.connection.stream(path, query=query, silent_s=60) as stream:
        for line in lines(stream.pieces):
            told = msgspec.json.decode(line)["object"]
            version, generation = (
                int(told["metadata"][name]) for name in ("resourceVersion", "generation")
            )
            if version <= until and generation > before:
                seen.append(told["spec"]["replicas"])
            if version >= until:
                break
    return seen


def test_the_count_is_its_own_managers_and_never_dips_at_the_hand_over(site: Site) -> None:
    seen = counts_seen(site, lambda: site.put(site.workload(3)))
    assert seen
    assert set(seen) == {3}
    assert site.owners_of_the_count() == {names.SCALE_MANAGER}
    seen = counts_seen(site, lambda: site.put(site.workload(5, scale_version=4)))
    assert set(seen) == {5}
    assert site.owners_of_the_count() == {names.SCALE_MANAGER}


def test_a_namespace_that_was_just_made_refuses_nothing(kubernetes: Kubernetes) -> None:
    """Its account comes a moment later; until then the server forbids every pod."""
    for _ in range(5):
        with namespaced(kubernetes) as namespace:
            connection = Connection(name="test", where=kubernetes.where)
            with contextlib.closing(connection):
                young = Site(connection=connection, namespace=namespace)
                assert young.previewer.preview(young.workload(1), expected=0).refusals == ()


def test_an_apply_that_owns_the_count_would_be_seen_to_fight_and_to_dip(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: with either wrong manifest the story above could not hold."""
    real = manifests.deployment

    def owning(workload: Workload, *, image: str = names.PROCESS_IMAGE) -> manifests.Fields:
        spec = real(workload, image=image)["spec"]
        assert isinstance(spec, dict)
        return {**real(workload, image=image), "spec": {**spec, "replicas": 3}}

    with monkeypatch.context() as swapped:
        swapped.setattr(manifests, "deployment", owning)
        site.put(site.workload(3))
        assert site.owners_of_the_count() == {names.SCALE_MANAGER, names.DEPLOY_MANAGER}
        seen = counts_seen(site, lambda: site.put(site.workload(5, scale_version=4)))
        assert set(seen) == {5, 3}  # hpa's 5 lives until deploy's next apply
    site.put(site.workload(3, scale_version=5))
    with monkeypatch.context() as swapped:
        swapped.setattr(manifests, "count", lambda workload: _nothing_of(real(workload)))
        seen = counts_seen(site, lambda: site.put(site.workload(3, scale_version=6)))
        assert 1 in seen  # nobody owns the count, and the default is one


def _nothing_of(manifest: manifests.Fields) -> manifests.Fields:
    return {name: manifest[name] for name in ("apiVersion", "kind", "metadata")}


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("place", ["created", "counted", "accompanied", "applied"])
def test_whoever_dies_between_two_calls_is_mended_by_the_next_write(
    site: Site, place: str, new: bool
) -> None:
    wanted = site.workload(4, spec_version=8, scale_version=5, disruption=Disruption())
    if not new:
        site.put(site.workload(3))
    site.dies_at = f"kubernetes:{place}"
    with pytest.raises(KilledError):
        site.put(wanted)
    site.dies_at = ""
    found = site.writer.deployments.get("ocr-1")
    assert found is not None
    annotations = found.deployment.metadata.annotations or {}
    if place != "applied":
        assert annotations.get(names.VERSION) != "8"  # so deploy sees that it is not done
    told = site.put(wanted)
    assert (told.replicas, told.spec_version, told.scale_version) == (4, 8, 5)
    assert told.drift == ()
    assert site.owners_of_the_count() == {names.SCALE_MANAGER}
    assert site.found("services") == ["ocr"]
    assert site.found("poddisruptionbudgets", "/apis/policy/v1") == ["ocr"]


def test_what_is_so_already_is_not_written_again(site: Site) -> None:
    workload = site.workload(disruption=Disruption())
    site.put(workload)
    service = site.ask("GET", f"/api/v1/namespaces/{site.namespace}/services/ocr")["metadata"]
    generation = site.live()["metadata"]["generation"]

    def untouched() -> bool:
        before = site.live()["metadata"]["resourceVersion"]
        for _ in range(5):
            site.put(workload)
        return bool(site.live()["metadata"]["resourceVersion"] == before)

    within(60, untouched)  # as soon as the cluster has told all that it has to tell
    assert site.live()["metadata"]["generation"] == generation
    again = site.ask("GET", f"/api/v1/namespaces/{site.namespace}/services/ocr")["metadata"]
    assert again["resourceVersion"] == service["resourceVersion"]


def test_a_status_that_changed_meanwhile_is_no_conflict_and_a_field_is(site: Site) -> None:
    site.put(site.workload(3))
    site.settled()
    seen = site.put(site.workload(3))
    told_of = {"status": {"conditions": [{"type": "Seen", "status": "True"}]}}
    path = f"/apis/apps/v1/namespaces/{site.namespace}/deployments/ocr-1/status"
    site.ask("PATCH", path, told_of, STRATEGIC)
    assert site.version() > seen.resource_version
    grown = site.workload(4, scale_version=4)
    told = site.writer.put_workload(grown, expected=seen.resource_version)
    assert told.replicas == 4
    with pytest.raises(ConflictError, match="read again"):
        site.writer.put_workload(grown, expected=seen.resource_version)
    before = site.version()
    site.by_hand({"spec": {"paused": True}})
    with pytest.raises(ConflictError, match="read again"):
        site.writer.put_workload(site.workload(9, scale_version=9), expected=before)
    assert site.live()["spec"]["replicas"] == 4


def test_another_image_for_commands_is_for_new_workloads_and_replaces_no_pod(site: Site) -> None:
    site.put(site.workload())
    before = site.settled()["metadata"]
    discovery = Discovery(site.connection)
    later = Writer(site.connection, discovery, namespace=site.namespace, image="own/process:2")
    later.put_workload(site.workload(), expected=int(before["resourceVersion"]))
    assert site.live()["metadata"]["generation"] == before["generation"]
    new = later.put_workload(site.workload(name="ocr-2", revision="2"), expected=0)
    assert new.template.image == "own/process:2"


def test_drift_is_named_and_corrected_to_the_last_field(site: Site) -> None:
    workload = site.workload()
    site.put(workload)
    site.by_hand(
        {
            "spec": {
                "replicas": 9,
                "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
                    "spec": {
                        "containers": [
                            {"name": "app", "image": "evil", "env": [{"name": "B", "value": "2"}]}
                        ]
                    },
                },
            }
        }
    )
    told = site.previewer.preview(workload, expected=site.version())
    assert {"kubectl: spec.replicas", "kubectl: spec.template.spec.containers[name=app].image"} <= {
        *told.conflicts
    }
    assert {("spec.replicas", "9", "3")} <= {(c.path, c.before, c.after) for c in told.changes}
    corrected = site.put(workload)
    assert (corrected.drift, corrected.replicas, corrected.template) == ((), 3, workload.template)
    assert b"restartedAt" not in msgspec.json.encode(site.live()["spec"])
    generation = site.settled()["metadata"]["generation"]  # it grows with each field, not status
    site.put(workload)
    assert site.live()["metadata"]["generation"] == generation


def test_drift_that_is_tolerated_stays_and_all_else_is_written(site: Site) -> None:
    site.put(site.workload())
    container = {"name": "app", "image": "theirs"}
    site.by_hand({"spec": {"replicas": 9, "template": {"spec": {"containers": [container]}}}})
    wanted = site.workload(4, tolerates=True, spec_version=8)
    changed = msgspec.structs.replace(wanted.template, env={"A": "2"})
    told = site.put(msgspec.structs.replace(wanted, template=changed))
    assert (told.replicas, told.template.image, told.template.env) == (9, "theirs", {"A": "2"})
    assert (told.spec_version, told.tolerates) == (8, True)
    assert any(each.endswith("spec.replicas") for each in told.drift)


def test_what_goes_with_an_application_ends_with_its_last_workload(site: Site) -> None:
    first = site.put(site.workload(1, disruption=Disruption()))
    second = site.put(site.workload(1, name="ocr-2", revision="2", disruption=Disruption()))
    site.writer.delete_workload(first.name, expected=first.resource_version)
    within(60, lambda: site.found("replicasets", "/apis/apps/v1") and not site.version("ocr-1"))
    assert site.found("services") == ["ocr"]
    site.put(site.workload(1, name="ocr-2", revision="2"))
    within(60, lambda: not site.found("poddisruptionbudgets", "/apis/policy/v1"))
    site.writer.delete_workload(second.name, expected=site.version("ocr-2"))
    within(60, lambda: not site.found("services"))


def test_what_is_somebody_elses_is_left_alone(site: Site) -> None:
    spec = {"ports": [{"port": 1}]}
    path = f"/api/v1/namespaces/{site.namespace}/services"
    made = site.ask("POST", path, {"metadata": {"name": "ocr"}, "spec": spec})
    site.put(site.workload())
    after = site.ask("GET", f"{path}/ocr")
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    manifest = manifests.created(site.workload(name="theirs"))
    metadata = {"name": "theirs", "namespace": site.namespace}
    deployments = f"/apis/apps/v1/namespaces/{site.namespace}/deployments"
    site.ask("POST", deployments, {**manifest, "metadata": metadata})
    for change in (
        lambda: site.put(site.workload(name="theirs")),
        lambda: site.writer.delete_workload("theirs", expected=site.version("theirs")),
    ):
        with pytest.raises(ConflictError, match="somebody else's"):
            change()


def test_the_servers_own_rules_are_refused_with_the_field(site: Site) -> None:
    template = Template(command=("serve",), node_selector={"not a label!": "x"})
    with pytest.raises(RefusedError, match="nodeSelector") as refused:
        site.put(site.workload(template=template))
    assert refused.value.status == 422
