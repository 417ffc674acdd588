"""A workload's way into a Deployment and back: what midstage put is what it reads."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.cluster.kubernetes import manifests
from midstage.cluster.kubernetes.shapes_workload import Deployment
from midstage.cluster.kubernetes.workloads import is_ours, workload_of
from midstage.cluster.objects import Template, Workload
from midstage.contracts.apps import Probe, Toleration
from midstage.contracts.cluster import Amount
from midstage.contracts.running import Check, Source, Spread, Volume

from .apiserver import Json

TEXTS = st.text("abc/$()-_ é", min_size=1, max_size=8)
NAMES = st.text("abcdef-", min_size=1, max_size=8)
SECONDS = st.integers(1, 60).map(float)
SOURCES = st.builds(Source, secret=NAMES, key=NAMES) | st.builds(Source, config=NAMES, key=NAMES)
PATHS = st.integers(0, 9).map(lambda number: f"/v/{number}")
PROBES = st.builds(
    Probe,
    path=PATHS,
    every_s=SECONDS,
    timeout_s=SECONDS,
    failures=st.integers(1, 9),
    initial_delay_s=st.integers(0, 30).map(float),
)
VOLUMES = st.one_of(
    st.builds(Volume, path=PATHS, secret=NAMES, read_only=st.booleans()),
    st.builds(Volume, path=PATHS, config=NAMES, read_only=st.booleans()),
    st.builds(Volume, path=PATHS, claim=NAMES, read_only=st.booleans()),
    st.builds(Volume, path=PATHS, scratch_mb=st.integers(1, 10_000)),
)
CHECKS = st.tuples(st.lists(st.tuples(NAMES, TEXTS), max_size=3), SECONDS, SECONDS).map(
    lambda drawn: tuple(
        Check(name=name, script=script, timeout_s=drawn[1], within_s=drawn[2])
        for name, script in drawn[0]
    )
)
AMOUNTS = st.builds(
    Amount,
    cpu=st.integers(0, 64_000).map(lambda thousandths: thousandths / 1000),
    memory_mb=st.integers(0, 10**6),
    gpus=st.integers(0, 8),
)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    image = draw(st.none() | NAMES)
    command = draw(st.lists(TEXTS, min_size=0 if image else 1, max_size=3))
    names = draw(st.lists(st.text("ABC", min_size=1, max_size=4), unique=True, max_size=4))
    cut = draw(st.integers(0, len(names)))
    return Template(
        image=image,
        command=tuple(command),
        args=tuple(draw(st.lists(TEXTS, max_size=3))),
        env={name: draw(TEXTS) for name in names[:cut]},
        env_from={name: draw(SOURCES) for name in names[cut:]},
        volumes=tuple(draw(st.lists(VOLUMES, max_size=4))),
        pull_secrets=tuple(draw(st.lists(NAMES, max_size=2))),
        requests=draw(AMOUNTS),
        readiness=draw(PROBES),
        liveness=draw(st.none() | PROBES),
        checks=draw(CHECKS),
        node_selector=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        tolerations=tuple(
            draw(st.lists(st.builds(Toleration, key=NAMES, value=st.none() | NAMES), max_size=2))
        ),
        spread=tuple(
            draw(
                st.lists(
                    st.builds(
                        Spread, over=NAMES, max_skew=st.integers(1, 9), required=st.booleans()
                    ),
                    max_size=2,
                )
            )
        ),
        priority=draw(st.none() | NAMES),
        grace_s=draw(st.integers(0, 300).map(float)),
    )


def put(workload: Workload) -> Deployment:
    """What the API has after the writes of both managers."""
    told = msgspec.json.decode(msgspec.json.encode(manifests.deployment(workload)))
    scaled = msgspec.json.decode(msgspec.json.encode(manifests.count(workload)))
    told["spec"].update(scaled["spec"])
    told["metadata"].setdefault("annotations", {}).update(scaled["metadata"]["annotations"])
    return msgspec.json.decode(msgspec.json.encode(told), type=Deployment)


def a(template: Template, *, spec_version: int = 0, scale_version: int = 0) -> Workload:
    return Workload(
        name="ocr-r1",
        app="ocr",
        revision="r1",
        template=template,
        replicas=3,
        spec_version=spec_version,
        scale_version=scale_version,
    )


@given(templates())
def test_what_was_put_is_what_is_read(template: Template) -> None:
    workload = a(template, spec_version=7, scale_version=4)
    read = put(workload)
    assert is_ours(read)
    assert workload_of(read) == workload


def test_what_others_made_is_not_ours_and_breaks_nothing() -> None:
    told: Json = {
        "metadata": {"name": "other", "namespace": "default", "labels": None},
        "spec": {"template": {"spec": {"containers": []}}},
    }
    found = msgspec.json.decode(msgspec.json.encode(told), type=Deployment)
    assert not is_ours(found)
    assert workload_of(found).app == ""


def read_with(**metadata: Json) -> Workload:
    told = put(a(Template(image="i")))
    fields = msgspec.to_builtins(told)
    fields["metadata"].update(metadata)
    return workload_of(msgspec.json.decode(msgspec.json.encode(fields), type=Deployment))


def managed(manager: str, *paths: str, **other: Json) -> Json:
    fields: dict[str, Json] = {}
    for path in paths:
        inside = fields
        for step in path.split("."):
            inside = inside.setdefault(f"f:{step}", {})  # type: ignore[assignment]  # all are objects
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields, **other}


def test_drift_names_who_set_what() -> None:
    read = read_with(
        managedFields=[
            managed("midstage-deploy", "spec.template.spec.priorityClassName"),
            managed("midstage-scale", "spec.replicas"),
            managed("kubectl", "spec.paused", "metadata.labels.team", operation="Update"),
            managed("kube-controller-manager", "status.replicas", "spec.strategy"),
        ]
    )
    assert read.drift == ("kubectl: spec.paused",)


def test_who_wants_what_we_want_is_no_drift() -> None:
    both: list[Json] = [managed(each, "spec.replicas") for each in ("midstage-scale", "gitops")]
    assert read_with(managedFields=both).drift == ()


def test_a_count_that_was_taken_from_us_is_drift() -> None:
    taken = managed("kubectl", "spec.replicas", operation="Update", subresource="scale")
    assert read_with(managedFields=[taken]).drift == ("kubectl: spec.replicas",)


def test_owners_in_an_unknown_form_are_told_as_unknown() -> None:
    strange: Json = {"manager": "x", "fieldsV1": ["not", "a", "map"]}
    assert read_with(managedFields=[strange]).drift == ("unknown: spec",)


@pytest.mark.parametrize("version", ["", "x", "-1", "١"])
def test_a_version_that_is_no_number_was_carried_out_by_nobody(version: str) -> None:
    assert read_with(annotations={"midstage.dev/version": version}).spec_version == 0


def test_why_no_pods_are_made_is_told_in_the_servers_words() -> None:
    words = 'pods "x" is forbidden: exceeded quota: small'
    condition: Json = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": words,
    }
    told = msgspec.to_builtins(put(a(Template(image="i"))))
    told["status"] = {"conditions": [condition]}
    read = msgspec.json.decode(msgspec.json.encode(told), type=Deployment)
    assert workload_of(read).reason == words
