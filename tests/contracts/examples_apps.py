"""One example of each fact of applications, as golden files pin them."""

from midstage.contracts.apps import (
    AppRemoved,
    AppSpec,
    AppSpecified,
    How,
    Probe,
    Resources,
    Rollout,
    RolloutEnded,
    RolloutPaused,
    RolloutProgressed,
    RolloutResumed,
    RolloutStarted,
    Routes,
    Toleration,
    Verdict,
)
from midstage.contracts.limits import FailureRule
from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.running import (
    Check,
    Disruption,
    Need,
    OnDrift,
    OnFailure,
    Source,
    Spread,
    Volume,
)
from midstage.contracts.topics import APPS

from .examples import NOON, Decision

FULL = AppSpec(
    command=("python", "-m", "replica", "--port", "$(PORT)"),
    env={"MODEL": "köln-7b", "BATCH": "8"},
    resources=Resources(cpu=2.5, memory_mb=4096, gpus=1),
    replicas=3,
    readiness=Probe(path="/ready", every_s=0.5, timeout_s=0.25, failures=2, initial_delay_s=1.5),
    liveness=Probe(path="/live"),
    pool="gpu",
    node_selector={"zone": "a"},
    tolerations=(Toleration(key="gpu", value="yes"), Toleration(key="spot")),
    routes=Routes(
        prefix="/chat",
        hosts=("chat.example",),
        timeout_s=30.0,
        on_throttle_failure=FailureRule.CLOSED,
    ),
    scaling=Policy(
        min=2,
        max=10,
        targets=Targets(requests_per_s=5.0, concurrency=4.0, cpu=0.6),
        tolerance=0.2,
        window_s=10,
        stabilise_up_s=1.0,
        stabilise_down_s=60.0,
        up=Rate(pods=2, percent=50.0, period_s=5.0),
        down=Rate(pods=1, percent=10.0, period_s=60.0),
    ),
    rollout=Rollout(surge=2, min_available=1, progress_within_s=120.0),
    drain_s=5.0,
    grace_s=2.0,
    availability_target=0.9995,
)
SURROUNDED = AppSpec(
    image="ocr:2",
    args=("--lang", "de"),
    env_from={"KEY": Source(secret="ocr", key="api"), "MODE": Source(config="ocr", key="mode")},
    volumes=(
        Volume(path="/models", claim="models", read_only=True),
        Volume(path="/t", scratch_mb=9),
    ),
    pull_secrets=("registry",),
    checks=(Check(name="model", script="test -e /models/ocr", timeout_s=5.0, within_s=60.0),),
    needs=(Need.BIG_CORES, Need.SPOT),
    spread=(Spread(over="zone", max_skew=2, required=True),),
    priority="serving",
    disruption=Disruption(max_unavailable=2),
    rollout=Rollout(on_failure=OnFailure.UNDO),
    drift=OnDrift.TOLERATE,
)
DECISIONS = {
    "apps-appended-specified-full": Decision(
        topic=APPS,
        key="chat",
        engine="deploy/0.1.0",
        version=1,
        facts=(
            AppSpecified(
                app="chat",
                at=NOON,
                spec=FULL,
                revision="0123456789",
                by="ada",
                why="first",
                undoes="9876543210",
            ),
            RolloutStarted(
                app="chat", at=NOON, revision="0123456789", previous="9876543210", how=How.IN_PLACE
            ),
        ),
    ),
    "apps-appended-specified-minimal": Decision(
        topic=APPS,
        key="ocr",
        engine="deploy/0.1.0",
        version=1,
        facts=(
            AppSpecified(app="ocr", at=NOON, spec=AppSpec(image="ocr:1"), revision="abcdefabcd"),
        ),
    ),
    "apps-appended-specified-surrounded": Decision(
        topic=APPS,
        key="ocr",
        engine="deploy/0.1.0",
        version=2,
        facts=(
            AppSpecified(app="ocr", at=NOON, spec=SURROUNDED, revision="abcdefabcd", generation=3),
        ),
    ),
    "apps-appended-rollout-steps": Decision(
        topic=APPS,
        key="chat",
        engine="deploy/0.1.0",
        version=2,
        facts=(
            RolloutProgressed(
                app="chat",
                at=NOON,
                revision="0123456789",
                wanted=3,
                ready=1,
                old=2,
                reason="no room",
            ),
            RolloutPaused(app="chat", at=NOON, revision="0123456789", by="ada", why="to look"),
            RolloutResumed(app="chat", at=NOON, revision="0123456789", by="ada", why="well"),
        ),
    ),
    "apps-appended-rollout-ended": Decision(
        topic=APPS,
        key="chat",
        engine="deploy/0.1.0",
        version=2,
        facts=(
            RolloutEnded(
                app="chat",
                at=NOON,
                revision="0123456789",
                verdict=Verdict.FAILED,
                reason="exit code 1: no model",
            ),
        ),
    ),
    "apps-appended-removed": Decision(
        topic=APPS,
        key="chat",
        engine="deploy/0.1.0",
        version=3,
        facts=(AppRemoved(app="chat", at=NOON, by="ada", why="over"),),
    ),
}
