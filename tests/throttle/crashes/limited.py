"""The limits of a run: an algorithm each, for a customer each, in a partition each."""

from collections.abc import Sequence

from midstage.contracts import algorithms, topics
from midstage.contracts.algorithms import AnyAlgorithm
from midstage.contracts.limits import CONCURRENCY, REQUESTS, FailureRule, LimitSet
from midstage.eventlog.murmur2 import partition_of
from midstage.testkit.clock import NOON

APP = "chat"
LEASED, STRICT, AT_ONCE = "leased", "strict", "at-once"
LIMITS: Sequence[tuple[str, int, AnyAlgorithm]] = (
    ("bucket", 20, algorithms.TokenBucket(period_s=1, burst=40)),
    ("slow", 1, algorithms.TokenBucket(period_s=20, burst=40)),
    ("gcra", 20, algorithms.Gcra(period_s=1, burst=20)),
    ("window", 60, algorithms.FixedWindow(period_s=5)),
    ("moving", 60, algorithms.MovingWindow(period_s=5)),
    (LEASED, 5, algorithms.TokenBucket(period_s=1, burst=20)),
    (STRICT, 20, algorithms.TokenBucket(period_s=1, burst=40)),
    (AT_ONCE, 3, algorithms.Slots(ttl_s=8)),
)


def limits() -> Sequence[LimitSet]:
    """All closed where they can't be counted: nothing passes by a failure rule."""
    return [
        LimitSet(
            limit=name,
            customer=_customer_in(number, name),
            unit=CONCURRENCY if name == AT_ONCE else REQUESTS,
            amount=amount,
            algorithm=algorithm,
            on_failure=FailureRule.CLOSED,
            strict=name == STRICT,
            at=NOON,
        )
        for number, (name, amount, algorithm) in enumerate(LIMITS)
    ]


def _customer_in(partition: int, name: str) -> str:
    count = topics.SPENDS.partitions
    return next(
        f"{name}-{number}"
        for number in range(10_000)
        if partition_of(f"{name}-{number}".encode(), count) == partition % count
    )
