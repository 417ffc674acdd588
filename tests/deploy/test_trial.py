"""What is tried on the cluster for a spec: the workload, and how many replicas come at once."""

import msgspec
import pytest

from midstage.cluster.objects import Workload
from midstage.contracts.apps import AppSpec, AppSpecified, Rollout, revision_of
from midstage.contracts.policy import Policy, Targets
from midstage.deploy.decide.room import Way
from midstage.deploy.decide.trial import before, trial
from midstage.deploy.decide.wanted import template_of
from midstage.deploy.model import App, Situation, Specified, workload_name
from midstage.testkit.clock import NOON
from tests.deploy.facts import observed_workload

SPEC = AppSpec(command=("one",), replicas=5, rollout=Rollout(surge=2))
OTHER = msgspec.structs.replace(SPEC, command=("two",))


def running(spec: AppSpec, replicas: int) -> Situation:
    """An application whose workload has so many replicas."""
    revision = revision_of(spec)
    fact = AppSpecified(app="ocr", at=NOON, spec=spec, revision=revision)
    workload = Workload(
        name=workload_name("ocr", revision),
        app="ocr",
        revision=revision,
        template=template_of(spec),
        replicas=replicas,
        spec_version=7,
        scale_version=3,
        resource_version=99,
    )
    return Situation(
        app="ocr",
        state=App(version=7, history=(Specified(version=7, fact=fact),)),
        workloads=(observed_workload(workload),),
        now=NOON,
    )


@pytest.mark.parametrize(
    ("way", "at_once"), [(Way.SURGE, 2), (Way.IN_PLACE, 0), (Way.FIRST, 5), (Way.UNKNOWN, 5)]
)
def test_of_a_new_revision_counts_what_comes_beside_the_old_ones(way: Way, at_once: int) -> None:
    tried = trial(running(SPEC, 5), OTHER, revision_of(OTHER), way)
    assert (tried.expected, tried.workload.replicas) == (0, at_once)
    assert tried.workload.template == template_of(OTHER)
    old = before(running(SPEC, 5), tried)
    assert old is not None
    assert (old.workload.name, old.workload.template) == (tried.workload.name, template_of(SPEC))


def test_what_runs_is_tried_as_it_was_seen_and_carries_no_other_versions() -> None:
    tried = trial(running(SPEC, 4), SPEC, revision_of(SPEC), Way.NONE)
    assert (tried.expected, tried.workload.replicas) == (99, 4)  # the update is on its way
    assert (tried.workload.spec_version, tried.workload.scale_version) == (7, 3)
    assert before(running(SPEC, 4), tried) is None
    more = msgspec.structs.replace(SPEC, replicas=6)
    assert trial(running(SPEC, 4), more, revision_of(more), Way.NONE).workload.replicas == 6


def test_the_count_of_a_scaled_application_is_hpas_within_the_policy() -> None:
    policy = Policy(min=1, max=3, targets=Targets(concurrency=4))
    scaled = msgspec.structs.replace(SPEC, scaling=policy)
    tried = trial(running(SPEC, 2), scaled, revision_of(scaled), Way.NONE)
    assert tried.workload.replicas == 2
    tried = trial(running(SPEC, 9), scaled, revision_of(scaled), Way.NONE)
    assert tried.workload.replicas == 3


def test_of_the_first_all_is_new() -> None:
    nothing = Situation(app="ocr", state=App(), now=NOON)
    tried = trial(nothing, SPEC, revision_of(SPEC), Way.FIRST)
    assert (tried.expected, tried.workload.replicas) == (0, 5)
    assert before(nothing, tried) is None
