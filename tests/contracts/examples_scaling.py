"""One example of each fact of scaling, as golden files pin them."""

from datetime import timedelta

from midstage.contracts.alarms import Alarm, AlarmCleared, AlarmRaised
from midstage.contracts.autoscaling import (
    Behavior,
    By,
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    ScalingPolicy,
    ScalingRules,
    Target,
    TargetType,
)
from midstage.contracts.cluster import Phase
from midstage.contracts.fact import Event
from midstage.contracts.manual import (
    Override,
    OverrideLifted,
    OverrideSet,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.policy import Fallback, Knative, Policy, Targets
from midstage.contracts.scaling import (
    EVALUATION_MADE,
    Changed,
    Evaluation,
    EvaluationMade,
    Inputs,
    KnativeInput,
    KnativeMemory,
    LoadInput,
    PodInput,
    Proposal,
    Rule,
    ScaleDecided,
    ScalingRemoved,
    SignalInput,
    Stage,
    Ticked,
    Wanted,
)
from midstage.contracts.timed import Timed
from midstage.contracts.topics import ALARMS, EVALUATIONS, SCALING

from .examples import NOON, Decision, Events
from .examples_evaluations import BOUNDED, DRAINING, EXACT, LEARNING, NOT_UP, ON_GPUS, ORDERED

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
SIGNALLED = Evaluation(
    inputs=Inputs(
        app="asr",
        now=NOON,
        policy=Policy(
            min=2,
            max=60,
            metrics=(
                Metric(
                    type=MetricType.EXTERNAL,
                    external=ExternalMetric(
                        metric=Identifier(name="queue"),
                        target=Target(type=TargetType.AVERAGE_VALUE, average_value="30"),
                    ),
                ),
            ),
            behavior=Behavior(
                scale_up=ScalingRules(
                    stabilization_window_seconds=0,
                    policies=(ScalingPolicy(type=By.PODS, value=4, period_seconds=15),),
                )
            ),
            timed=(Timed(name="noon", floor=45, begin="11:00", end="13:00"),),
            fallback=Fallback(at_least=4),
        ),
        spec_version=1,
        current=2,
        pods=(
            PodInput(
                name="asr-0",
                ready=True,
                cpu=0.5,
                cpu_requested=1.0,
                cpu_at=NOON,
                phase=Phase.RUNNING,
                started_at=NOON - 90 * SECOND,
                ready_at=NOON - 60 * SECOND,
                memory_mb=900.0,
                memory_requested_mb=1000,
                gpu=0.9,
                gpus_requested=1,
            ),
        ),
        cluster_at=NOON,
        signals=(
            SignalInput(rule=Rule.EXTERNAL, name="queue", value=200.0, observed_at=NOON),
            SignalInput(rule=Rule.PODS, name="sessions", by_pod={"asr-0": 3.0}, observed_at=NOON),
        ),
        cold_start_s=30.0,
    ),
    proposals=(
        Proposal(
            rule=Rule.EXTERNAL,
            name="queue",
            carried=100.0,
            target=30.0,
            want=7,
            reason="100 each, 30 wanted",
            ready_ratio=3.3,
        ),
    ),
    stages=(
        Stage(name="rate", replicas=6, reason="at most 6", condition="ScaleUpLimit"),
        Stage(name="timed floor", replicas=45, reason="noon is at least 45"),
    ),
    replicas=45,
    reason="noon is at least 45",
    want=7,
)
PANICKING = Evaluation(
    inputs=Inputs(
        app="llm",
        now=NOON,
        policy=Policy(max=60, knative=Knative(target=10.0)),
        spec_version=1,
        current=2,
        knative=KnativeInput(
            until=NOON,
            stable=20.0,
            panic=90.0,
            memory=KnativeMemory(
                panic_since=NOON - SECOND, most=9, maxima=(Ticked(tick=7, replicas=9),)
            ),
        ),
    ),
    replicas=9,
    reason="it panics",
    want=9,
    memory=KnativeMemory(panic_since=NOON, most=9),
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
EVENTS |= {
    f"evaluation-made-{name}": (
        EVALUATIONS,
        Event(
            id=f"{evaluation.inputs.app}/1",
            source="hpa/0",
            type=EVALUATION_MADE,
            time=NOON,
            data=EvaluationMade(app=evaluation.inputs.app, evaluation=evaluation),
        ),
    )
    for name, evaluation in (
        ("signalled", SIGNALLED),
        ("panicking", PANICKING),
        ("ordered", ORDERED),
        ("draining", DRAINING),
        ("learning", LEARNING),
        ("bounded", BOUNDED),
        ("on-gpus", ON_GPUS),
    )
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
    "alarms-appended-raised": Decision(
        topic=ALARMS,
        key="chat",
        engine="hpa/2",
        version=1,
        facts=(
            AlarmRaised(
                app="chat",
                alarm=Alarm.INPUT_UNKNOWN,
                since=NOON - SECOND,
                at=NOON,
                reason="cpu: no ready pod is measured",
            ),
        ),
    ),
    "alarms-appended-cleared": Decision(
        topic=ALARMS,
        key="chat",
        engine="hpa/2",
        version=2,
        facts=(AlarmCleared(app="chat", alarm=Alarm.INPUT_UNKNOWN, at=NOON),),
    ),
    "scaling-appended-overridden": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=11,
        facts=(OverrideSet(app="chat", override=EXACT),),
    ),
    "scaling-appended-bounded": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=12,
        facts=(
            OverrideSet(
                app="chat", override=Override(by="api", at=NOON, until=NOON + SECOND, min=2)
            ),
        ),
    ),
    "scaling-appended-lifted": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=13,
        facts=(OverrideLifted(app="chat", by="ben", why="the fair is over", at=NOON),),
    ),
    "scaling-appended-paused": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=14,
        facts=(ScalingPaused(app="chat", pause=NOT_UP),),
    ),
    "scaling-appended-resumed": Decision(
        topic=SCALING,
        key="chat",
        engine="hpa/0.1.0",
        version=15,
        facts=(ScalingResumed(app="chat", by="ben", at=NOON),),
    ),
}
