"""One example of each fact of scaling, as golden files pin them."""

from datetime import timedelta

from midstage.contracts.fact import Event
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import (
    EVALUATION_MADE,
    Changed,
    Evaluation,
    EvaluationMade,
    Inputs,
    LoadInput,
    PodInput,
    Proposal,
    Rule,
    ScaleDecided,
    ScalingRemoved,
    Stage,
    Wanted,
)
from midstage.contracts.topics import EVALUATIONS, SCALING

from .examples import NOON, Decision, Events

SECOND = timedelta(seconds=1)
FULL = Evaluation(
    inputs=Inputs(
        app="chat",
        now=NOON,
        policy=Policy(max=10, targets=Targets(concurrency=4.0)),
        spec_version=4,
        current=2,
        load=LoadInput(
            until=NOON - SECOND,
            seconds=15,
            requests_per_s=12.5,
            gauged_until=NOON,
            gauged_seconds=15,
            concurrency=14.0,
        ),
        pods=(
            PodInput(name="chat-0", ready=True, cpu=0.5, cpu_requested=1.0, cpu_at=NOON),
            PodInput(name="chat-1", ready=False),
        ),
        cluster_at=NOON,
        wants=(Wanted(at=NOON - 5 * SECOND, replicas=3),),
        changes=(Changed(at=NOON - 10 * SECOND, before=1, after=2),),
        scale_version=9,
        initial=1,
    ),
    proposals=(
        Proposal(
            rule=Rule.CONCURRENCY,
            carried=14.0,
            target=4.0,
            want=4,
            reason="14 in flight and pending at 4 each",
            exact=3.5,
            ready_ratio=3.5,
        ),
        Proposal(rule=Rule.CPU, target=0.6, reason="no pod's use is known"),
    ),
    stages=(Stage(name="largest want", replicas=4, reason="concurrency"),),
    replicas=4,
    reason="concurrency wants 4",
    want=4,
    engine="hpa/0.1.0",
    offsets={"midstage.load.v1/0": 42},
)
MINIMAL = Evaluation(
    inputs=Inputs(
        app="ocr",
        now=NOON,
        policy=Policy(max=1, targets=Targets()),
        spec_version=1,
        current=0,
    ),
    replicas=1,
    reason="no rule has valid input",
)

EVENTS: Events = {
    "evaluation-made-full": (
        EVALUATIONS,
        Event(
            id="chat/7",
            source="hpa/0",
            type=EVALUATION_MADE,
            time=NOON,
            subject="chat",
            data=EvaluationMade(app="chat", evaluation=FULL, decided=True),
        ),
    ),
    "evaluation-made-minimal": (
        EVALUATIONS,
        Event(
            id="ocr/1",
            source="hpa/0",
            type=EVALUATION_MADE,
            time=NOON,
            data=EvaluationMade(app="ocr", evaluation=MINIMAL),
        ),
    ),
}
DECISIONS = {
    "scaling-appended-decided": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=9,
        facts=(
            ScaleDecided(
                app="chat",
                replicas=4,
                previous=2,
                reason="concurrency wants 4",
                at=NOON,
                load_at=NOON - SECOND,
                evaluation=FULL,
            ),
        ),
    ),
    "scaling-appended-removed": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=10,
        facts=(ScalingRemoved(app="chat", at=NOON, reason="the application is gone"),),
    ),
}
