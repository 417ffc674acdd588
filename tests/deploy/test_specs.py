"""What a spec must not say of what its replicas run with, and what they are then given."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.apps import AppSpec, Toleration, revision_of
from midstage.contracts.errors import RefusedError
from midstage.contracts.running import Need
from midstage.deploy.api.specs import spec_of
from midstage.deploy.decide.specs import check_together
from midstage.deploy.decide.wanted import template_of
from tests.contracts.examples_apps import FULL, SURROUNDED

KEY = {"secret": "s", "key": "k"}
CHECK = {"name": "a", "script": "true"}


def spec(**fields: object) -> AppSpec:
    return spec_of(msgspec.json.encode({"command": ["x"], **fields}))


def refused(**fields: object) -> str:
    with pytest.raises(RefusedError) as found:
        spec(**fields)
    return str(found.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"image": "a b", "command": []}, "image: 'a b' has a space"),
        ({"args": ["a", "b\0"]}, "args[1]: has a NUL"),
        ({"env": {"PORT": "1"}}, "env.PORT: the platform chooses the port"),
        ({"env_from": {"PORT": KEY}}, "env_from.PORT: the platform chooses the port"),
        ({"env": {"A=B": "1"}}, "env.A=B: 'A=B' can't be the name of a variable"),
        ({"env": {"A": "\0"}}, "env.A: has a NUL"),
        ({"env": {"A": "1"}, "env_from": {"A": KEY}}, "env_from.A: env has A too; say it once"),
        ({"env_from": {"B": KEY, "1A": KEY}}, "env_from.1A: Expected `str` matching regex"),
        ({"env_from": {"B": KEY, "A": {"secret": "s"}}}, "env_from.A.key: is missing"),
        ({"env": {"A": "x", "B": 1}}, "env.B: Expected `str`, got `int`"),
        ({"rollout": {"on_failure": "wait"}}, "'wait'; known are hold, undo"),
        ({"routes": {"on_throttle_failure": "opn"}}, "did you mean open?"),
        (
            {"env_from": {"A": {"key": "k"}}},
            "env_from.A: give exactly one of secret and config, none is there",
        ),
        (
            {"env_from": {"A": {**KEY, "config": "c"}}},
            "env_from.A.config: give exactly one of secret and config, secret is there too",
        ),
        ({"env_from": {"A": {**KEY, "secret": "No_Name"}}}, "env_from.A.secret: 'No_Name' is no"),
        ({"env_from": {"A": {**KEY, "key": "a/b"}}}, "env_from.A.key: 'a/b' is no key"),
        ({"env_from": {"A": {**KEY, "key": ".."}}}, "env_from.A.key: '..' is no key"),
        ({"volumes": [{"path": "/a"}]}, "volumes[0]: give exactly one of secret, config, claim an"),
        (
            {"volumes": [{"path": "/a", "claim": "c", "scratch_mb": 1}]},
            "volumes[0].scratch_mb: give exactly one",
        ),
        ({"volumes": [{"path": "/a/../etc", "claim": "c"}]}, "volumes[0].path: '/a/../etc' is"),
        ({"volumes": [{"path": "/a//b", "claim": "c"}]}, "volumes[0].path: '/a//b' is no plain"),
        ({"volumes": [{"path": "/", "claim": "c"}]}, "volumes[0].path: '/' is no plain path"),
        ({"volumes": [{"path": "/a:b", "claim": "c"}]}, "volumes[0].path: '/a:b' has a sign"),
        ({"volumes": [{"path": "/proc/1", "claim": "c"}]}, "volumes[0].path: '/proc/1' is the sys"),
        ({"volumes": [{"path": "/a", "claim": "C"}]}, "volumes[0].claim: 'C' is no name"),
        (
            {"volumes": [{"path": "/a", "claim": "c"}, {"path": "/a", "config": "c"}]},
            "volumes[1].path: '/a' is there twice",
        ),
        (
            {"volumes": [{"path": "/a", "scratch_mb": 1, "read_only": True}]},
            "volumes[0].read_only: scratch that can't be written",
        ),
        ({"pull_secrets": ["a", "A"]}, "pull_secrets[1]: 'A' is no name"),
        ({"pull_secrets": ["a", "a"]}, "pull_secrets[1]: 'a' is there twice"),
        ({"priority": "Very High"}, "priority: 'Very High' is no name"),
        ({"checks": [CHECK, CHECK]}, "checks[1].name: 'a' is there twice"),
        ({"checks": [{**CHECK, "script": "a\0"}]}, "checks[0].script: has a NUL"),
        (
            {"checks": [{**CHECK, "timeout_s": 20, "within_s": 10}]},
            "checks[0].timeout_s: 20 is more than its within_s 10",
        ),
        (
            {"checks": [CHECK], "rollout": {"progress_within_s": 60}},
            "checks[0].within_s: 300 is more than rollout.progress_within_s 60",
        ),
        (
            {"checks": [{"name": n, "script": "#" * 60_000} for n in "ab"]},
            "checks: the scripts have more than 100000 bytes together",
        ),
        ({"needs": ["spot", "spot"]}, "needs[1]: 'spot' is there twice"),
        ({"needs": ["spott"]}, "needs[0]: Invalid enum value 'spott'; did you mean spot?"),
        (
            {"needs": ["big cores"], "node_selector": {"midstage.dev/big-cores": "false"}},
            "needs[0]: node_selector says midstage.dev/big-cores=false",
        ),
        ({"pool": "a/b"}, "pool: 'a/b' is no value of a label"),
        ({"node_selector": {"a b": "c"}}, "node_selector.a b: 'a b' is no label"),
        ({"node_selector": {"Example/b": "c"}}, "node_selector.Example/b: 'Example/b' is no label"),
        ({"node_selector": {"a": "-"}}, "node_selector.a: '-' is no value of a label"),
        ({"tolerations": [{"key": "a b"}]}, "tolerations[0].key: 'a b' is no label"),
        ({"tolerations": [{"key": "a"}] * 2}, "tolerations[1]: 'a' is there twice"),
        ({"spread": [{"over": "a b"}]}, "spread[0].over: 'a b' is no label"),
        ({"spread": [{"over": "zone"}] * 2}, "spread[1].over: 'zone' is there twice"),
        (
            {"disruption": {"max_unavailable": 0}},
            "disruption.max_unavailable: Expected `int` >= 1; with 0 nobody could ever empty",
        ),
        ({"apiVersion": "midstage.dev/v1"}, "apiVersion: a whole document is here"),
        ({"volumes": [{"path": "/a", "clam": "c"}]}, "volumes[0].clam: unknown field; did you"),
        ({"env_from": {"A": {**KEY, "keys": "c"}}}, "env_from.A.keys: unknown field; did you mean"),
    ],
)  # fmt: skip
def test_what_could_not_be_run_is_refused_with_the_path(
    fields: dict[str, object], told: str
) -> None:
    assert told in refused(**fields)


def test_a_field_twice_and_a_number_that_can_not_be_kept_are_refused() -> None:
    for body in (
        b'{"command": ["x"], "command": ["y"]}',
        b'{"drain_s": NaN}',
        b'{"drain_s": 1e999}',
    ):
        with pytest.raises(RefusedError, match="the spec is not JSON") as found:
            spec_of(body)
        assert found.value.status == 400


def test_a_thousand_faults_are_not_all_told() -> None:
    said = refused(**{f"field{number}": 1 for number in range(1000)})
    assert said.endswith("; and more")
    assert len(said) < 20_000


def test_all_of_it_can_be_said_at_once() -> None:
    for each in (FULL, SURROUNDED):
        assert spec_of(msgspec.json.encode(each)) == each


@pytest.mark.parametrize("path", ["/dev/shm", "/models", "/a/b.c", "/process"])
def test_plain_paths_may_be_mounted(path: str) -> None:
    assert spec(volumes=[{"path": path, "scratch_mb": 5}]).volumes[0].path == path


def test_a_replica_is_given_all_that_its_spec_says() -> None:
    made = template_of(SURROUNDED)
    fields = (
        "image",
        "args",
        "env_from",
        "volumes",
        "pull_secrets",
        "checks",
        "spread",
        "priority",
    )
    for field in fields:
        assert getattr(made, field) == getattr(SURROUNDED, field)


def test_needs_become_labels_and_the_taint_that_goes_with_them() -> None:
    made = template_of(spec(needs=["big cores", "spot"], pool="gpu", node_selector={"zone": "a"}))
    assert made.node_selector == {
        "zone": "a",
        "midstage.dev/pool": "gpu",
        "midstage.dev/big-cores": "true",
        "midstage.dev/spot": "true",
    }
    assert made.tolerations == (Toleration(key="midstage.dev/spot"),)
    assert template_of(spec(needs=["big cores"])).tolerations == ()
    own = {"key": "midstage.dev/spot"}
    assert template_of(spec(needs=["spot"], tolerations=[own])).tolerations == made.tolerations


NAMES = st.sampled_from(["a", "b", "c"])
SPECS = st.builds(
    AppSpec,
    command=st.just(("x",)),
    args=st.lists(NAMES, max_size=2).map(tuple),
    env=st.dictionaries(NAMES, NAMES, max_size=2),
    needs=st.lists(st.sampled_from(Need), max_size=2, unique=True).map(tuple),
    pool=st.none() | NAMES,
    node_selector=st.dictionaries(NAMES, NAMES, max_size=2),
    tolerations=st.lists(st.builds(Toleration, key=NAMES), max_size=1).map(tuple),
    replicas=st.integers(1, 3),
    priority=st.none() | NAMES,
)


@given(SPECS, st.integers(1, 5))
def test_specs_of_one_revision_run_the_same(one: AppSpec, count: int) -> None:
    other = msgspec.structs.replace(
        one,
        needs=one.needs[::-1],
        env=dict(reversed(one.env.items())),
        node_selector=dict(reversed(one.node_selector.items())),
        replicas=count,
    )
    assert revision_of(one) == revision_of(other)
    assert template_of(one) == template_of(other)


@given(SPECS, SPECS)
def test_what_runs_differently_is_another_revision(one: AppSpec, other: AppSpec) -> None:
    if template_of(one) != template_of(other):
        assert revision_of(one) != revision_of(other)


def test_routes_of_applications_that_come_together_differ() -> None:
    both = {"a": spec(routes={"prefix": "/x"}), "b": spec(routes={"prefix": "/x"})}
    with pytest.raises(RefusedError, match="'a' and 'b' both ask for the route '/x'") as found:
        check_together(both)
    assert found.value.status == 409
    check_together({"a": spec(routes={"prefix": "/x", "hosts": ["h"]}), "b": spec()})
