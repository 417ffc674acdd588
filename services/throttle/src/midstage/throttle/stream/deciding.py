"""Verdicts of checks: by count, or by the failure rules where a count would come too late.

What passes is held for its request until that has ended, whichever way it was decided; a request
that is known has what it asks for already, and is charged nothing. Nothing here waits.
"""

from collections.abc import Callable, Sequence

from midstage.throttle.decide.judging import (
    asked,
    judged,
    judged_late,
    passed,
    strict_of,
    strictest_rule,
)
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.reserving import Reservations
from midstage.throttle.metrics import ByRule, Metrics
from midstage.throttle.model.checks import Check, Judged, Meeting
from midstage.throttle.views.meters import Meters


class Deciding:
    """Belongs to one event loop."""

    def __init__(
        self,
        *,
        meters: Meters,
        reservations: Reservations[LimitAccount],
        metrics: Metrics,
        monotonic_ns: Callable[[], int],
    ) -> None:
        """Charge ``meters``, and hold what passes in ``reservations``."""
        self._meters = meters
        self._reservations = reservations
        self._metrics = metrics
        self._monotonic_ns = monotonic_ns

    def accounts(self, meeting: Meeting, check: Check, now_ns: int) -> Sequence[LimitAccount]:
        """What counts for a check now: meanwhile it may be counted for here anew."""
        return self._meters.of(meeting, check.customer, check.key, now_ns)

    def known(self, meeting: Meeting, check: Check, now_ns: int) -> bool:
        """Whether it has what it asks for already."""
        return bool(meeting.settled) and self._reservations.knows(check.request, now_ns)

    def decided(
        self, meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
    ) -> Judged:
        """By count; what passes is held until the request has ended."""
        if self.known(meeting, check, now_ns):
            return passed(meeting, accounts, now_ns)
        answer = judged(meeting, accounts, check, now_ns)
        if meeting.settled and check.hits and answer.admitted:
            held = [accounts[at] for at in meeting.settled]
            taken = asked(held, check)
            self._reservations.hold(check.request, held, taken, now_ns, check.customer)
        return answer

    def late(self, meeting: Meeting, accounts: Sequence[LimitAccount], check: Check) -> Judged:
        """What the failure rules say of one that has no time left for an answer by count."""
        return self._by_rule(meeting, accounts, check, self._metrics.late)

    def without_log(
        self, meeting: Meeting, accounts: Sequence[LimitAccount], check: Check
    ) -> Judged:
        """What the failure rules say of one that the log kept waiting for too long."""
        return self._by_rule(meeting, accounts, check, self._metrics.without_room)

    def counted(self, answer: Judged) -> Judged:
        """The same answer, which is in the metrics then."""
        (self._metrics.admitted if answer.admitted else self._metrics.refused).inc()
        return answer

    def _by_rule(
        self,
        meeting: Meeting,
        accounts: Sequence[LimitAccount],
        check: Check,
        counted: ByRule,
    ) -> Judged:
        answer = self._ruled(meeting, accounts, check, self._monotonic_ns())
        counted[strictest_rule(accounts)].inc()
        if answer.admitted:
            self._metrics.failure_mode_allowed.inc()
        for meter in strict_of(accounts) if meeting.strict else ():
            meter.answered(check.request)
            meter.wait_for(meter.change)
        return self.counted(answer)

    def _ruled(
        self, meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
    ) -> Judged:
        """Of what passes, what it took is held: that may be less than was asked for."""
        if self.known(meeting, check, now_ns):
            return passed(meeting, accounts, now_ns)
        held = [accounts[at] for at in meeting.settled]
        before = [account.meter.remaining(now_ns) for account in held]
        answer = judged_late(meeting, accounts, check, now_ns)
        if meeting.settled and check.hits and answer.admitted:
            after = [account.meter.remaining(now_ns) for account in held]
            taken = [was - left for was, left in zip(before, after, strict=True)]
            self._reservations.hold(check.request, held, taken, now_ns, check.customer)
        return answer
