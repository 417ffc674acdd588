"""Evaluations that went by more than load: signals, orders of people, what replicas carry."""

from datetime import timedelta

import msgspec

from midstage.contracts.capacity import CapacityInput, CapacitySample, Latency, Learned, Level
from midstage.contracts.manual import Direction, Override, Pause
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import (
    Evaluation,
    Inputs,
    PodInput,
    Proposal,
    Quota,
    Rule,
    SignalInput,
    Stage,
)
from midstage.contracts.signals import Signal

from .examples import NOON

SECOND = timedelta(seconds=1)
DRAINING = Evaluation(
    inputs=Inputs(
        app="ocr",
        now=NOON,
        policy=Policy(
            max=60,
            signals={
                "pages": Signal(drain_s=60.0, rate=5.0, group="ocr", topics=("pages",)),
                "jobs": Signal(target=30.0, partitions=0),
            },
        ),
        spec_version=1,
        current=2,
        signals=(
            SignalInput(
                rule=Rule.SIGNAL,
                name="pages",
                value=1200.0,
                observed_at=NOON,
                series="ocr pages",
                source="kafka",
                partitions=12,
                arrived_per_s=10.0,
                growth_per_s=-2.5,
                each_per_s=5.5,
            ),
        ),
    ),
    proposals=(
        Proposal(
            rule=Rule.SIGNAL,
            name="pages",
            carried=1200.0,
            target=5.0,
            want=6,
            reason="1200 wait, 10/s come, 5/s each, done in 60 s",
            exact=6.0,
        ),
    ),
    replicas=6,
    reason="signal pages: 1200 wait",
    want=6,
)

EXACT = Override(by="anna", why="a fair", at=NOON, until=NOON + 3600 * SECOND, min=20, max=20)
NOT_UP = Pause(by="anna", at=NOON, until=NOON + 60 * SECOND, direction=Direction.UP)
ORDERED = Evaluation(
    inputs=Inputs(
        app="ocr",
        now=NOON,
        policy=Policy(max=10),
        spec_version=1,
        current=9,
        override=EXACT,
        pause=NOT_UP,
        quota=Quota(replicas=12, reason="the namespace has room for 12"),
    ),
    stages=(
        Stage(name="current", replicas=9),
        Stage(name="manual", replicas=20, reason="exactly 20 ordered by anna"),
    ),
    replicas=20,
    reason="exactly 20 ordered by anna",
)
BOUNDED = msgspec.structs.replace(
    ORDERED,
    inputs=msgspec.structs.replace(
        ORDERED.inputs,
        quota=Quota(replicas=12, reason="quota team-a has 12 pods", observed_at=NOON),
    ),
)
ON_GPUS = Evaluation(
    inputs=Inputs(
        app="chat",
        now=NOON,
        policy=Policy(max=9, targets=Targets(gpu_memory=0.8)),
        spec_version=1,
        current=1,
        pods=(
            PodInput(
                name="chat-1",
                ready=True,
                cpu_at=NOON,
                gpus_requested=1,
                gpu_memory_mb=61_324.0,
                gpu_memory_total_mb=81_000.0,
            ),
        ),
    ),
    proposals=(
        Proposal(
            rule=Rule.GPU_MEMORY, carried=0.75, target=0.8, want=1, reason="the ready pods use 75 %"
        ),
    ),
    replicas=1,
    reason="",
    want=1,
)
LEARNED = Learned(
    until=NOON,
    p99=(Level(load=5.0, p99_ms=200.0, residence_s=0.1, weight=4.5),),
    ttft=(Level(load=5.0, p99_ms=50.0, residence_s=0.1, weight=4.5),),
)
LEARNING = Evaluation(
    inputs=Inputs(
        app="chat",
        now=NOON,
        policy=Policy(max=60, latency=Latency(p99_ms=500.0, ttft_p99_ms=100.0)),
        spec_version=1,
        current=2,
        capacity=CapacityInput(
            samples=(
                CapacitySample(
                    until=NOON,
                    seconds=15,
                    requests=150,
                    concurrency=1.0,
                    p99_ms=200.0,
                    ttft_p99_ms=50.0,
                ),
            ),
            in_flight=1.0,
            growth_per_s=0.5,
            learned=Learned(),
        ),
    ),
    replicas=2,
    reason="",
    want=2,
    learned=LEARNED,
)
