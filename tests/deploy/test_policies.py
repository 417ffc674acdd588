"""A policy by itself changes the spec's scaling alone; what was ordered of hpa holds beyond it."""

from datetime import timedelta

import msgspec
import pytest

from midstage.contracts.apps import AppSpec, AppSpecified, revision_of
from midstage.contracts.errors import RefusedError
from midstage.contracts.manual import (
    Override,
    OverrideLifted,
    OverrideSet,
    Pause,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import (
    Evaluation,
    Inputs,
    ScaleDecided,
    ScalingFact,
    ScalingRemoved,
)
from midstage.deploy.api.specs import policy_of
from midstage.deploy.decide.commands import decide
from midstage.deploy.decide.fold import evolve
from midstage.deploy.decide.wanted import evolve as scaled
from midstage.deploy.decide.wanted import wanted
from midstage.deploy.model import App, Scale, ScaleApp
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.deploy.conftest import TOKEN, Running

POLICY = Policy(max=6, targets=Targets(concurrency=2))
SPEC = AppSpec(image="ocr:1", replicas=2, scaling=POLICY)
OVERRIDE = Override(by="anna", at=NOON, until=NOON + timedelta(hours=1), min=9, max=9)
SET = OverrideSet(app="ocr", override=OVERRIDE)
LIFTED = OverrideLifted(app="ocr", by="anna", at=NOON)
PAUSED = ScalingPaused(app="ocr", pause=Pause(by="anna", at=NOON, until=NOON + timedelta(hours=1)))
RESUMED = ScalingResumed(app="ocr", by="anna", at=NOON)


def specified(spec: AppSpec) -> App:
    fact = AppSpecified(app="ocr", spec=spec, revision=revision_of(spec), at=NOON)
    return evolve(App(), fact)


def scale(policy: Policy) -> ScaleApp:
    return ScaleApp(app="ocr", policy=policy, by="anna", why="a fair", at=NOON)


def count(*facts: ScalingFact, policy: Policy = POLICY) -> int:
    folded = Scale()
    for fact in facts:
        folded = scaled(folded, fact)
    return wanted(msgspec.structs.replace(SPEC, scaling=policy), folded)


def decided(replicas: int, override: Override | None = None) -> ScaleDecided:
    inputs = Inputs(
        app="ocr", now=NOON, policy=POLICY, spec_version=1, current=1, override=override
    )
    return ScaleDecided(
        app="ocr",
        replicas=replicas,
        previous=1,
        reason="test",
        at=NOON,
        evaluation=Evaluation(inputs=inputs, replicas=replicas, reason="test"),
    )


def test_only_the_policy_changes_and_the_revision_stays() -> None:
    policy = Policy(min=2, max=9, targets=Targets(cpu=0.6))
    [fact] = decide(specified(SPEC), scale(policy))
    assert isinstance(fact, AppSpecified)
    assert fact.spec == msgspec.structs.replace(SPEC, scaling=policy)
    assert (fact.revision, fact.by, fact.why) == (revision_of(SPEC), "anna", "a fair")


def test_where_scaling_begins_follows_into_the_bounds() -> None:
    [fact] = decide(specified(SPEC), scale(Policy(min=4, max=9, targets=Targets(cpu=0.6))))
    assert isinstance(fact, AppSpecified)
    assert fact.spec.replicas == 4


def test_the_policy_that_holds_already_appends_nothing() -> None:
    assert decide(specified(SPEC), scale(POLICY)) == ()


def test_a_policy_needs_an_application_and_must_not_contradict_itself() -> None:
    with pytest.raises(RefusedError, match="there is no application 'ocr'") as refused:
        decide(App(), scale(POLICY))
    assert refused.value.status == 404
    with pytest.raises(RefusedError, match="no target is given"):
        decide(specified(SPEC), scale(Policy(max=3)))
    with pytest.raises(RefusedError, match=r"scaling.maxi: unknown field; did you mean max\?"):
        policy_of(b'{"maxi": 3}')
    with pytest.raises(RefusedError, match=r"scaling\.max: Expected `int` <= 1000"):
        policy_of(b'{"max": 3000}')


def test_an_order_changes_no_count_before_hpa_has_decided() -> None:
    assert count(SET) == count() == 2
    assert count(decided(4), SET, PAUSED, RESUMED, LIFTED) == 4


def test_a_count_that_was_ordered_holds_beyond_the_policy_until_it_is_lifted() -> None:
    assert count(decided(9)) == 6
    assert count(decided(9, OVERRIDE)) == 9
    assert count(SET, decided(9, OVERRIDE), PAUSED) == 9
    assert count(decided(9, OVERRIDE), LIFTED) == 6
    assert count(decided(9, OVERRIDE), decided(7)) == 6
    assert count(decided(9, OVERRIDE), ScalingRemoved(app="ocr", at=NOON)) == 2


def test_a_count_within_the_policy_follows_when_it_is_tightened() -> None:
    within_it = decided(5, OVERRIDE)
    assert count(within_it, policy=msgspec.structs.replace(POLICY, max=3)) == 3


@pytest.mark.slow
def test_deploy_takes_a_policy_alone(deploy: Running) -> None:
    deploy.put("scaled", replicas=2)
    deploy.ready("scaled", 2)
    headers = {"authorization": f"Bearer {TOKEN}"}
    policy = {"min": 3, "max": 4, "targets": {"concurrency": 2}}
    path = "/v1/apps/scaled/scaling"
    diff = deploy.http.post(f"{path}/diff", json=policy, headers=headers).json()
    assert (diff["exists"], diff["rollout"], diff["new_revision"]) == (True, "none", False)
    assert {each["path"].partition(".")[0] for each in diff["changes"]} == {"replicas", "scaling"}
    done = deploy.http.put(f"{path}?by=anna&why=more", json=policy, headers=headers).json()
    assert (done["outcome"], done["rollout"]) == ("configured", "none")
    within(60, lambda: len([pod for pod in deploy.cluster.pods() if pod.app == "scaled"]) == 3)
    told = deploy.http.get("/v1/apps/scaled").json()
    assert (told["by"], told["why"]) == ("anna", "more")
    assert told["spec"]["scaling"]["max"] == 4
    for body, status in ((b"{", 400), (b'{"max": 0}', 422), (b"[]", 422)):
        assert deploy.http.put(path, content=body, headers=headers).status_code == status
    other = deploy.http.put("/v1/apps/nobody/scaling", json=policy, headers=headers)
    assert other.status_code == 404
    stranger = {"authorization": "Bearer wrong"}
    assert deploy.http.put(path, json=policy, headers=stranger).status_code == 401
