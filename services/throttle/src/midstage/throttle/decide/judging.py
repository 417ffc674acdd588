"""A check against all limits that it meets, in one step: who passes, and what is left of each.

In time it is decided by count, all or nothing; late by each limit's own failure rule.
"""

from collections.abc import Sequence

from midstage.throttle.decide.charging import admitted
from midstage.throttle.decide.failing import passed_in_failure
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.model.account import OnFailure
from midstage.throttle.model.checks import Check, Judged, Left, Meeting


def judged(meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int) -> Judged:
    """By count; ``accounts`` go with ``meeting.limits``."""
    units = asked(accounts, check)
    if admitted(accounts, units, now_ns, check.request) is None:
        return _passed(meeting, accounts, now_ns)
    left, violated, wait_ns = _against(accounts, units, now_ns)
    return Judged(admitted=False, meeting=meeting, left=left, violated=violated, wait_ns=wait_ns)


def judged_late(
    meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
) -> Judged:
    """By the failure rules, for a question that waited too long for an answer by count."""
    units = asked(accounts, check)
    fallbacks = {each.name: each.fallback for each in accounts if each.fallback is not None}
    refusing = passed_in_failure(accounts, units, now_ns, fallbacks)
    if refusing is None:
        return _passed(meeting, accounts, now_ns)
    left = [left_of(account, now_ns) for account in accounts]
    wait_ns = refusing.meter.wait_ns(max(1, units[accounts.index(refusing)]), now_ns)
    return Judged(
        admitted=False, meeting=meeting, left=left, violated=(refusing.name,), wait_ns=wait_ns
    )


def strictest_rule(accounts: Sequence[LimitAccount]) -> OnFailure:
    """The failure rule that says most of a late check over ``accounts``."""
    rules = {each.on_failure.rule for each in accounts if not each.shadow}
    for rule in (OnFailure.CLOSED, OnFailure.OPEN_TO):
        if rule in rules:
            return rule
    return OnFailure.OPEN


def foreseen(
    meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
) -> Judged:
    """What ``judged`` would say; nothing is charged."""
    left, violated, wait_ns = _against(accounts, asked(accounts, check), now_ns)
    return Judged(
        admitted=not violated, meeting=meeting, left=left, violated=violated, wait_ns=wait_ns
    )


def left_of(account: LimitAccount, now_ns: int) -> Left:
    """What is left, and when there is one more; nothing is said where there are all."""
    remaining = account.meter.remaining(now_ns)
    return Left(remaining=remaining, wait_ns=account.meter.wait_ns(max(0, remaining) + 1, now_ns))


def asked(accounts: Sequence[LimitAccount], check: Check) -> Sequence[int]:
    """What the check asks of each."""
    return [check.of(account.limit.unit) for account in accounts]


def _passed(meeting: Meeting, accounts: Sequence[LimitAccount], now_ns: int) -> Judged:
    return Judged(
        admitted=True, meeting=meeting, left=[left_of(account, now_ns) for account in accounts]
    )


def _against(
    accounts: Sequence[LimitAccount], units: Sequence[int], now_ns: int
) -> tuple[Sequence[Left], tuple[str, ...], int | None]:
    """What is left of each, which would refuse these units now, and for how long."""
    left: list[Left] = []
    violated: list[str] = []
    longest: int | None = 0
    for account, wanted in zip(accounts, units, strict=True):
        wait_ns = account.meter.wait_ns(wanted, now_ns)
        if account.shadow or wait_ns == 0:
            left.append(left_of(account, now_ns))
            continue
        left.append(Left(remaining=account.meter.remaining(now_ns), wait_ns=wait_ns))
        violated.append(account.name)
        longest = None if wait_ns is None or longest is None else max(longest, wait_ns)
    return left, tuple(violated), longest
