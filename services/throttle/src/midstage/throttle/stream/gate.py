"""Limits in from the log, verdicts out to whoever asks.

A check is one step without an ``await`` between reading a bucket and charging it, on the one
thread of the event loop, so calls at the same time can't take the same token. What only lacks
room in the log waits for it, never longer than ``answer_within_s``; then the failure rule speaks.
Limits are taken over from the log's fold every ``FOLLOW_S``; while it is away, the last hold.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from midstage.contracts.limits import FailureRule
from midstage.throttle.decide.limits import Bucket, take, take_late
from midstage.throttle.metrics import ByRule, Metrics
from midstage.throttle.model.later import Later
from midstage.throttle.model.limits import Check, Judged, Limit, Slot, Verdict
from midstage.throttle.views import BucketKey, Buckets, Rules, rules_of, standing

FOLLOW_S = 0.05
SWEPT_EACH = 1000
"""Buckets examined every ``FOLLOW_S``: 20000 a second, more than checks can make."""


class Limits(Protocol):
    """The fold of the limits' log."""

    def states(self) -> Mapping[str, Slot]:
        """The slot of every key; the same object until one of them changes."""
        ...

    def caught_up(self) -> str | None:
        """None when the whole log is folded, else why not."""
        ...


class Keeping(Protocol):
    """How counters outlive the process."""

    def open(self, bucket: Bucket, key: BucketKey, now_ns: int) -> None:
        """A counter is new here."""
        ...

    def lacks(self, bucket: Bucket, units: int, now_ns: int) -> bool:
        """Whether a check that was refused may pass when there is room."""
        ...

    def wait(
        self,
        bucket: Bucket,
        units: int,
        *,
        within_s: float,
        again: Callable[[], bool],
        over: Callable[[], None],
    ) -> bool:
        """Call ``again`` when there is room, until it says True; or ``over``. False: in vain."""
        ...


class Gate:
    """Answers checks from the limits in force; belongs to one event loop."""

    name = "gate"

    def __init__(
        self,
        *,
        limits: Limits,
        keeping: Keeping,
        now_ns: Callable[[], int],
        metrics: Metrics,
        caller_timeout_s: float,
        late_below_s: float,
    ) -> None:
        """A check with less than ``late_below_s`` of its time left gets the failure rule.

        ``now_ns`` is the time since the epoch, and never goes back.
        """
        self._limits = limits
        self._keeping = keeping
        self._now_ns = now_ns
        self._metrics = metrics
        self._caller_timeout_s = caller_timeout_s
        self._late_below_s = late_below_s
        self._slots: Mapping[str, Slot] = {}
        self._rules = Rules()
        self._buckets = Buckets(keeping.open)

    def check(
        self, check: Check, remaining_s: float | None
    ) -> Judged | Later[Judged | None] | None:
        """The verdict, or None where no limit holds; ``remaining_s`` None is not in a hurry."""
        limit = self._rules.find(check.customer, check.app)
        if remaining_s is not None:
            self._metrics.answer_seconds.observe(max(0.0, self._caller_timeout_s - remaining_s))
        if limit is None:
            self._metrics.unlimited.inc()
            return None
        if remaining_s is not None and remaining_s < self._late_below_s:
            return self._by_rule(limit, check, self._metrics.late)
        now_ns = self._now_ns()
        bucket = self._buckets.of(limit, check.customer, now_ns)
        verdict = take(bucket, hits=check.hits, now_ns=now_ns)
        if not verdict.admitted and self._keeping.lacks(bucket, check.hits, now_ns):
            return self._waiting(limit, bucket, check, remaining_s)
        return self._judged(limit, verdict)

    def closed(self) -> str | None:
        """Why no check can be answered yet; None when the limits of the whole log hold here."""
        reason = self._limits.caught_up()
        if reason is None:
            self.follow()
        return reason

    def follow(self) -> None:
        """Take over what the log says now, and examine some buckets."""
        slots = self._limits.states()
        if slots is not self._slots:
            self._slots = slots
            self._rules = rules_of(slots)
            self._metrics.limits.set(len(standing(slots)))
        self._buckets.sweep(self._rules, now_ns=self._now_ns(), most=SWEPT_EACH)
        self._metrics.buckets.set(len(self._buckets))

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the log until ``stop``."""
        while not stop.is_set():
            self.follow()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FOLLOW_S)

    def _waiting(
        self, limit: Limit, bucket: Bucket, check: Check, remaining_s: float | None
    ) -> Judged | Later[Judged | None]:
        """The same check again when there is room, or the failure rule."""
        later: Later[Judged | None] = Later()
        within_s = self._caller_timeout_s - self._late_below_s
        if remaining_s is not None:
            within_s = min(within_s, remaining_s - self._late_below_s)

        def again() -> bool:
            now_ns = self._now_ns()
            verdict = take(bucket, hits=check.hits, now_ns=now_ns)
            if not verdict.admitted and self._keeping.lacks(bucket, check.hits, now_ns):
                return False
            later.told(self._judged(limit, verdict))
            return True

        def over() -> None:
            later.told(self._by_rule(limit, check, self._metrics.without_room))

        if self._keeping.wait(bucket, check.hits, within_s=within_s, again=again, over=over):
            return later
        return self._by_rule(limit, check, self._metrics.without_room)

    def _by_rule(self, limit: Limit, check: Check, counted: ByRule) -> Judged:
        """What the limit's failure rule says."""
        now_ns = self._now_ns()
        bucket = self._buckets.of(limit, check.customer, now_ns)
        verdict = take_late(bucket, hits=check.hits, now_ns=now_ns)
        is_open = limit.on_failure is FailureRule.OPEN
        (counted.open if is_open else counted.closed).inc()
        if verdict.admitted:
            self._metrics.failure_mode_allowed.inc()
        return self._judged(limit, verdict)

    def _judged(self, limit: Limit, verdict: Verdict) -> Judged:
        (self._metrics.admitted if verdict.admitted else self._metrics.refused).inc()
        return Judged(limit=limit, verdict=verdict)
