"""Specs on the wire and the names of revisions: what replicas run, and nothing else."""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.apps import (
    AppFact,
    AppRemoved,
    AppSpec,
    Probe,
    Resources,
    Rollout,
    Routes,
    Toleration,
    revision_of,
)
from midstage.contracts.policy import Policy, Rate, Targets

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PARTS = st.sampled_from([0.125, 0.5, 1.0, 2.5, 60.0])
WORDS = st.text("abcäß-", min_size=1, max_size=6)
ENV = st.dictionaries(WORDS, st.text(max_size=8), max_size=4)
PROBES = st.builds(
    Probe,
    path=st.just("/") | st.just("/readyz"),
    every_s=PARTS,
    timeout_s=PARTS,
    failures=st.integers(1, 100),
    initial_delay_s=PARTS,
)
TEMPLATES = {
    "image": st.none() | WORDS,
    "command": st.lists(WORDS, max_size=3).map(tuple),
    "env": ENV,
    "resources": st.builds(
        Resources, cpu=PARTS, memory_mb=st.integers(1, 10_000), gpus=st.integers(0, 8)
    ),
    "readiness": PROBES,
    "liveness": st.none() | PROBES,
    "pool": st.none() | WORDS,
    "node_selector": ENV,
    "tolerations": st.lists(
        st.builds(Toleration, key=WORDS, value=st.none() | WORDS), max_size=2
    ).map(tuple),
    "grace_s": PARTS,
}
OTHERS = {
    "replicas": st.integers(1, 1000),
    "routes": st.builds(Routes, prefix=st.none() | st.just("/chat"), timeout_s=PARTS),
    "scaling": st.none()
    | st.builds(Policy, max=st.integers(1, 9), targets=st.just(Targets(cpu=0.5))),
    "rollout": st.builds(Rollout, surge=st.integers(0, 5)),
    "drain_s": PARTS,
    "availability_target": st.floats(0.5, 0.99999),
}
SPECS = st.builds(AppSpec, **TEMPLATES, **OTHERS)


@given(SPECS)
def test_a_revision_is_ten_hex_digits_and_survives_the_wire(spec: AppSpec) -> None:
    read = msgspec.json.decode(msgspec.json.encode(spec), type=AppSpec)
    assert read == spec
    assert revision_of(read) == revision_of(spec)
    assert len(revision_of(spec)) == 10
    assert int(revision_of(spec), 16) >= 0


@given(SPECS, st.fixed_dictionaries(OTHERS))
def test_what_replicas_do_not_run_makes_no_new_revision(
    spec: AppSpec, others: dict[str, object]
) -> None:
    changed = msgspec.structs.replace(spec, **others)
    assert revision_of(changed) == revision_of(spec)


@given(SPECS, st.fixed_dictionaries(TEMPLATES))
def test_what_replicas_run_makes_a_new_revision_and_equal_ones_the_same(
    spec: AppSpec, template: dict[str, object]
) -> None:
    for field, value in template.items():
        changed = msgspec.structs.replace(spec, **{field: value})
        differs = getattr(spec, field) != value
        assert (revision_of(changed) != revision_of(spec)) == differs, field


@given(SPECS)
def test_the_order_of_names_makes_no_new_revision(spec: AppSpec) -> None:
    turned = msgspec.structs.replace(
        spec,
        env=dict(reversed(spec.env.items())),
        node_selector=dict(reversed(spec.node_selector.items())),
    )
    assert revision_of(turned) == revision_of(spec)


def test_a_revision_keeps_its_name_when_midstage_is_upgraded() -> None:
    """Another name for the same replicas would restart every one of them."""
    small = AppSpec(image="ocr:1")
    large = AppSpec(
        command=("serve", "$(PORT)"),
        env={"B": "2", "A": "1"},
        resources=Resources(cpu=2.0, gpus=1),
        liveness=Probe(path="/live"),
        tolerations=(Toleration(key="gpu"),),
    )
    assert (revision_of(small), revision_of(large)) == ("1a717e6942", "ba416887b5")


@dataclass(frozen=True)
class Refused:
    """A spec in JSON, and the path that its refusal names."""

    spec: str
    path: str


@pytest.mark.parametrize(
    "refused",
    [
        Refused('{"replicas": 0}', "$.replicas"),
        Refused('{"availability_target": 1.0}', "$.availability_target"),
        Refused('{"routes": {"prefix": "chat"}}', "$.routes.prefix"),
        Refused('{"routes": {"prefix": "/chat/"}}', "$.routes.prefix"),
        Refused('{"resources": {"cpu": 0}}', "$.resources.cpu"),
        Refused('{"tolerations": [{"value": "x"}]}', "$.tolerations[0]"),
        Refused('{"scaling": {}}', "$.scaling"),
        Refused('{"scaling": {"max": 0, "targets": {}}}', "$.scaling.max"),
        Refused('{"scaling": {"max": 2, "targets": {"cpu": 0}}}', "$.scaling.targets.cpu"),
        Refused('{"env": {"A": 1}}', "$.env[...]"),
    ],
    ids=lambda refused: refused.spec,
)
def test_what_a_spec_can_not_be_is_named_by_its_path(refused: Refused) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(refused.spec, type=AppSpec)
    assert f"`{refused.path}`" in str(error.value)


def test_a_field_that_a_reader_does_not_know_is_ignored() -> None:
    assert msgspec.json.decode('{"image": "a", "colour": "red"}', type=AppSpec) == AppSpec(
        image="a"
    )


def test_the_name_of_an_application_is_one_that_every_cluster_takes() -> None:
    fact = AppRemoved(app="a-1", at=NOON)
    for name, taken in [("a", True), ("a-1", True), ("A", False), ("-a", False), ("a" * 43, False)]:
        said = msgspec.json.encode(msgspec.structs.replace(fact, app=name))
        try:
            assert msgspec.json.decode(said, type=AppFact).app == name
            assert taken
        except msgspec.ValidationError:
            assert not taken, name


def test_a_policy_has_the_defaults_that_it_documents() -> None:
    policy = msgspec.json.decode('{"max": 3, "targets": {"cpu": 0.6}}', type=Policy)
    assert (policy.min, policy.tolerance, policy.window_s) == (1, 0.1, 15)
    assert (policy.stabilise_up_s, policy.stabilise_down_s) == (0.0, 300.0)
    assert policy.up == policy.down == Rate(pods=4, percent=100.0, period_s=15.0)
