"""Limits in from the log, verdicts out to whoever asks.

A check is one step without an ``await`` between reading a bucket and charging it, on the one
thread of the event loop, so calls at the same time can't take the same token. Limits are taken
over from the log's fold every ``FOLLOW_S``; while the log is away, those last known hold.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from midstage.contracts.limits import FailureRule
from midstage.throttle.decide.limits import take, take_late
from midstage.throttle.metrics import Metrics
from midstage.throttle.model.limits import Check, Judged, Limit, Slot, Verdict
from midstage.throttle.views import Buckets, Rules, rules_of, standing

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


class Gate:
    """Answers checks from the limits in force; belongs to one event loop."""

    name = "gate"

    def __init__(
        self,
        *,
        limits: Limits,
        monotonic_ns: Callable[[], int],
        metrics: Metrics,
        caller_timeout_s: float,
        late_below_s: float,
    ) -> None:
        """A check with less than ``late_below_s`` of its time left gets the failure rule."""
        self._limits = limits
        self._monotonic_ns = monotonic_ns
        self._metrics = metrics
        self._caller_timeout_s = caller_timeout_s
        self._late_below_s = late_below_s
        self._slots: Mapping[str, Slot] = {}
        self._rules = Rules()
        self._buckets = Buckets()

    def check(self, check: Check, remaining_s: float | None) -> Judged | None:
        """The verdict, or None where no limit holds; ``remaining_s`` None is not in a hurry."""
        limit = self._rules.find(check.customer, check.app)
        if remaining_s is not None:
            self._metrics.answer_seconds.observe(max(0.0, self._caller_timeout_s - remaining_s))
        if limit is None:
            self._metrics.unlimited.inc()
            return None
        late = remaining_s is not None and remaining_s < self._late_below_s
        now_ns = self._monotonic_ns()
        bucket = self._buckets.of(limit, check.customer, now_ns)
        rule = take_late if late else take
        verdict = rule(bucket, hits=check.hits, now_ns=now_ns)
        self._count(limit, verdict, late=late)
        return Judged(limit=limit, verdict=verdict)

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
        self._buckets.sweep(self._rules, now_ns=self._monotonic_ns(), most=SWEPT_EACH)
        self._metrics.buckets.set(len(self._buckets))

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the log until ``stop``."""
        while not stop.is_set():
            self.follow()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FOLLOW_S)

    def _count(self, limit: Limit, verdict: Verdict, *, late: bool) -> None:
        (self._metrics.admitted if verdict.admitted else self._metrics.refused).inc()
        if late:
            is_open = limit.on_failure is FailureRule.OPEN
            (self._metrics.late_open if is_open else self._metrics.late_closed).inc()
