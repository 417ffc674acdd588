"""One example of each form of a signal, as golden files pin them."""

from midstage.contracts.fact import Event
from midstage.contracts.signals import (
    SIGNAL_OBSERVED,
    PartitionLag,
    SignalKind,
    SignalObserved,
)
from midstage.contracts.topics import SIGNALS

from .examples import NOON, Events

LAG = SignalObserved(
    app="ocr",
    kind=SignalKind.LAG,
    name="pages",
    series="ocr pages",
    source="kafka",
    observed_at=NOON,
    value=1200.0,
    consumers=2,
    partitions=(
        PartitionLag(topic="pages", number=0, committed=5000, beginning=0, end=6000, lag=1000),
        PartitionLag(topic="pages", number=1, committed=90, beginning=5800, end=6000, lag=200),
    ),
)
PODS = SignalObserved(
    app="asr",
    kind=SignalKind.PODS,
    name="sessions",
    series="tier=paid",
    source="cluster/local",
    observed_at=NOON,
    by_pod={"asr-0": 3.0, "asr-1": 0.5},
)
QUEUE = SignalObserved(
    app="chat",
    kind=SignalKind.QUEUE,
    name="jobs",
    source="api/rabbitmq",
    observed_at=NOON,
    value=0.0,
    arrived_per_s=2.5,
)
EVENTS: Events = {
    f"signal-observed-{fact.kind.value}": (
        SIGNALS,
        Event(
            id=f"{fact.app}/1",
            source="control/0",
            type=SIGNAL_OBSERVED,
            time=NOON,
            subject=fact.app,
            data=fact,
        ),
    )
    for fact in (LAG, PODS, QUEUE)
}
