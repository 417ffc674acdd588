"""What deploy applies, control reads back as it was meant; and what is whose, in pure functions."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.cluster.controller import ends_first
from midstage.cluster.kubernetes import companions, manifests, names
from midstage.cluster.kubernetes.fields import left_to_others
from midstage.cluster.kubernetes.ownership import readable, strangers, without
from midstage.cluster.kubernetes.quota import Quota, exceeded
from midstage.cluster.kubernetes.shapes import Managed
from midstage.cluster.kubernetes.shapes_workload import Deployment
from midstage.cluster.kubernetes.workloads import workload_of
from midstage.cluster.kubernetes.writing import could_end
from midstage.cluster.objects import Pod, Template, Workload
from midstage.cluster.preview import Json, compared
from midstage.contracts.apps import Probe, Toleration
from midstage.contracts.cluster import Amount, Phase
from midstage.contracts.running import Check, Disruption, Source, Spread, Volume
from midstage.testkit.clock import NOON

WORDS = st.sampled_from(["a", "ocr", "zone.b/c", "x-1", "v0", "http"])
TEXTS = st.sampled_from(["$(PORT)", "'quoted' \"twice\"", "\n", "ü", "-c", "$$", "{}"])
WHOLE = st.integers(1, 60).map(float)
PROBES = st.builds(
    Probe,
    path=st.just("/healthz?full=1"),
    every_s=WHOLE,
    timeout_s=WHOLE,
    failures=st.integers(1, 9),
    initial_delay_s=st.integers(0, 60).map(float),
)
SOURCES = st.builds(Source, secret=WORDS, key=WORDS) | st.builds(Source, config=WORDS, key=WORDS)
PLACES = st.fixed_dictionaries({"path": WORDS.map("/{}".format), "read_only": st.booleans()})
CONTENTS = st.one_of(
    st.fixed_dictionaries({"secret": WORDS}),
    st.fixed_dictionaries({"config": WORDS}),
    st.fixed_dictionaries({"claim": WORDS}),
    st.fixed_dictionaries({"scratch_mb": st.integers(1, 9999)}),
)
VOLUMES = st.builds(lambda place, content: Volume(**place, **content), PLACES, CONTENTS)
CHECKS = st.lists(WORDS, max_size=2, unique=True).map(
    lambda found: tuple(
        Check(name=name, script=f"test -e '$({name})' # \"", timeout_s=5, within_s=60)
        for name in found
    )
)
AMOUNTS = st.builds(
    Amount,
    cpu=st.integers(0, 9000).map(lambda milli: milli / 1000),
    memory_mb=st.integers(0, 9999),
    gpus=st.integers(0, 8),
)


def several(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


TEMPLATES = st.builds(
    Template,
    image=st.none() | WORDS,
    command=st.lists(TEXTS, min_size=1, max_size=2).map(tuple),
    args=several(TEXTS),
    env=st.dictionaries(st.sampled_from(["A", "A_B"]), TEXTS, max_size=2),
    env_from=st.dictionaries(st.sampled_from(["B", "B_C"]), SOURCES, max_size=2),
    volumes=several(VOLUMES),
    pull_secrets=several(WORDS),
    requests=AMOUNTS,
    readiness=PROBES,
    liveness=st.none() | PROBES,
    checks=CHECKS,
    node_selector=st.dictionaries(WORDS, WORDS, max_size=2),
    tolerations=several(st.builds(Toleration, key=WORDS, value=st.none() | WORDS)),
    spread=several(
        st.builds(Spread, over=WORDS, max_skew=st.integers(1, 9), required=st.booleans())
    ),
    priority=st.none() | WORDS,
    grace_s=WHOLE,
)
WORKLOADS = st.builds(
    Workload,
    name=WORDS,
    app=WORDS,
    revision=WORDS,
    template=TEMPLATES,
    replicas=st.integers(0, 99),
    spec_version=st.integers(0, 99),
    tolerates=st.booleans(),
)


def read(manifest: manifests.Fields) -> Workload:
    return workload_of(msgspec.json.decode(msgspec.json.encode(manifest), type=Deployment))


@pytest.mark.slow
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(WORKLOADS)
def test_what_is_applied_is_read_back(workload: Workload) -> None:
    told = read(manifests.deployment(workload))
    assert msgspec.structs.replace(told, replicas=workload.replicas) == workload


@pytest.mark.slow
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(WORKLOADS)
def test_only_a_new_one_has_a_count_and_none_has_a_version_before_the_end(
    workload: Workload,
) -> None:
    new, rest = manifests.created(workload), manifests.deployment(workload)
    assert read(new).replicas == workload.replicas
    assert read(new).spec_version == 0
    spec = rest["spec"]
    assert isinstance(spec, dict)
    assert "replicas" not in spec
    assert manifests.count(workload)["spec"] == {"replicas": workload.replicas}


def test_an_image_alone_keeps_its_own_command() -> None:
    workload = Workload(
        name="a-1", app="a", revision="1", template=Template(image="ocr:2"), replicas=1
    )
    assert read(manifests.deployment(workload)).template == workload.template
    text = msgspec.json.encode(manifests.deployment(workload))
    assert b'"command"' not in text


def test_seconds_are_rounded_up_and_never_to_none() -> None:
    hasty = Probe(every_s=0.1, timeout_s=0.05, initial_delay_s=0.2)
    template = Template(command=("x",), readiness=hasty, grace_s=1.5)
    workload = Workload(name="a-1", app="a", revision="1", template=template, replicas=1)
    told = read(manifests.deployment(workload)).template
    assert (told.readiness.every_s, told.readiness.timeout_s) == (1.0, 1.0)
    assert (told.readiness.initial_delay_s, told.grace_s) == (1.0, 2.0)


def test_nobody_but_the_platform_says_the_port() -> None:
    template = Template(command=("x",), env={"PORT": "1", "URL": "http://:$(PORT)"})
    workload = Workload(name="a-1", app="a", revision="1", template=template, replicas=1)
    text = msgspec.json.encode(manifests.deployment(workload)).decode()
    assert text.count('"PORT"') == 1
    assert '{"name":"PORT","value":"8080"}' in text
    assert text.index('"PORT"') < text.index('"URL"')


def test_what_goes_with_an_application_is_owned_by_its_deployments() -> None:
    owners = [companions.Owner(name="a-2", uid="z"), companions.Owner(name="a-1", uid="b")]
    service = companions.service("a", owners, namespace="default")
    assert service["spec"] == {
        "selector": {names.APP: "a"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    }
    budget = companions.budget("a", Disruption(max_unavailable=2), owners, namespace="default")
    for manifest in (service, budget):
        told = msgspec.json.encode(manifest)
        assert told.index(b'"b"') < told.index(b'"z"')


def entry(manager: str, fields: object, *, operation: str = "Apply") -> Managed:
    raw = msgspec.Raw(msgspec.json.encode(fields))
    return Managed(manager=manager, operation=operation, fields_v1=raw)


def test_a_strangers_field_is_told_and_taken_out_and_nothing_else() -> None:
    container: Json = {
        'k:{"name":"app"}': {"f:image": {}, "f:env": {'k:{"name":"A"}': {"f:value": {}}}}
    }
    theirs: Json = {
        'k:{"name":"app"}': {
            "f:image": {},
            "f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}},
        }
    }
    managed = (
        entry(names.DEPLOY_MANAGER, {"f:spec": {"f:containers": container}}),
        entry("kubectl", {"f:spec": {"f:paused": {}, "f:containers": theirs}}, operation="Update"),
        entry("kube-controller-manager", {"f:spec": {"f:seen": {}}}, operation="Update"),
    )
    found = strangers(managed)
    assert {readable(path) for path in found} == {
        "spec.paused",
        "spec.containers[name=app].env[name=B]",
        "spec.containers[name=app].env[name=B].name",
        "spec.containers[name=app].env[name=B].value",
    }
    assert set(found.values()) == {"kubectl"}
    env: Json = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    live: Json = {
        "spec": {
            "paused": True,
            "seen": 1,
            "containers": [{"name": "app", "image": "i", "env": env}],
        }
    }
    assert without(live, found) == {
        "spec": {
            "seen": 1,
            "containers": [{"name": "app", "image": "i", "env": [{"name": "A", "value": "1"}]}],
        }
    }


def test_what_is_left_to_others_is_found_by_the_servers_paths() -> None:
    workload = Workload(
        name="a-1",
        app="a",
        revision="1",
        template=Template(image="i", env={"A": "1", "B": "2"}),
        replicas=1,
    )
    left = left_to_others(
        manifests.created(workload),
        [
            '.spec.template.spec.containers[name="app"].image',
            '.spec.template.spec.containers[name="app"].env[name="A"].value',
            ".spec.replicas",
            ".metadata.labels.midstage.dev/app",
            ".spec.no.such[name=x]",
        ],
    )
    paths = {change.path for change in compared(left, manifests.created(workload))}
    assert paths == {
        "spec.template.spec.containers[app].image",
        "spec.template.spec.containers[app].env[A].value",
        "spec.replicas",
        "metadata.labels.midstage.dev/app",
    }


def test_one_more_in_a_list_is_one_change() -> None:
    before: Json = {"env": [{"name": "A", "value": "1"}], "args": ["a"]}
    after: Json = {"env": [{"name": "0", "value": ""}, {"name": "A", "value": "1"}], "args": []}
    assert [(each.path, each.before, each.after) for each in compared(before, after)] == [
        ("args", '["a"]', ""),
        ("env[0].name", "", '"0"'),
        ("env[0].value", "", '""'),
    ]


def test_a_quota_is_counted_for_all_pods_at_once() -> None:
    quota = msgspec.json.decode(
        b'{"metadata":{"name":"q"},"spec":{},"status":{'
        b'"hard":{"pods":"10","requests.cpu":"1","limits.memory":"1Gi"},'
        b'"used":{"pods":"4","requests.cpu":"600m","limits.memory":"0"}}}',
        type=Quota,
    )
    template = Template(requests=Amount(cpu=0.1, memory_mb=256))
    assert list(exceeded([quota], template, 4)) == []
    assert list(exceeded([quota], template, 5)) == [
        "exceeded quota: q, requested: requests.cpu=0.5, limits.memory=1280Mi, "
        "used: requests.cpu=600m, limits.memory=0, limited: requests.cpu=1, limits.memory=1Gi"
    ]


def pod(name: str, *, ready: bool = True, draining: bool = False, node: str = "n") -> Pod:
    return Pod(
        name=name,
        app="a",
        revision="1",
        workload="a-1",
        node=node,
        phase=Phase.RUNNING if node else Phase.PENDING,
        ready=ready,
        draining=draining,
        created_at=NOON,
        started_at=NOON if node else None,
    )


def test_of_pods_that_are_ordered_alike_any_could_end() -> None:
    serving = [pod("a"), pod("b"), pod("c")]
    marked, unready = pod("m", draining=True), pod("u", ready=False)
    nowhere = pod("n", ready=False, node="")
    pods = [*serving, marked, unready, nowhere]
    assert sorted(pods, key=ends_first)[:3] == [nowhere, unready, marked]
    assert could_end(pods, 6) == []
    assert could_end(pods, 3) == [nowhere, unready, marked]
    assert {each.name for each in could_end(pods, 2)} == {"n", "u", "m", "a", "b", "c"}
