"""A check against all limits that it meets, in one step: who passes, and what is left of each.

In time it is decided by count, all or nothing; late by each limit's own failure rule.
"""

from collections.abc import Sequence

from midstage.contracts.limits import CONCURRENCY, REQUESTS
from midstage.throttle.decide.charging import admitted
from midstage.throttle.decide.failing import passed_in_failure
from midstage.throttle.decide.kept import Lacking, Waited
from midstage.throttle.decide.metering import LimitAccount
from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.decide.parts import Part
from midstage.throttle.decide.room import Room
from midstage.throttle.decide.strict import Strict
from midstage.throttle.model.account import OnFailure, Settlement
from midstage.throttle.model.checks import Check, Judged, Left, Meeting


def judged(meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int) -> Judged:
    """By count; ``accounts`` go with ``meeting.limits``."""
    units = asked(accounts, check)
    needed = _needed(meeting, units, check)
    if not _used_up(meeting, accounts, units, needed, now_ns) and (
        admitted(accounts, units, now_ns, check.request) is None
    ):
        return passed(meeting, accounts, now_ns)
    left, violated, wait_ns = _against(accounts, needed, now_ns)
    return Judged(admitted=False, meeting=meeting, left=left, violated=violated, wait_ns=wait_ns)


def judged_late(
    meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
) -> Judged:
    """By the failure rules, for a question that waited too long for an answer by count."""
    units = asked(accounts, check)
    fallbacks = {each.name: each.fallback for each in accounts if each.fallback is not None}
    refusing = passed_in_failure(accounts, units, now_ns, fallbacks, check.request)
    if refusing is None:
        return passed(meeting, accounts, now_ns)
    left = [left_of(account, now_ns) for account in accounts]
    wait_ns = refusing.meter.wait_ns(max(1, units[accounts.index(refusing)]), now_ns)
    return Judged(
        admitted=False, meeting=meeting, left=left, violated=(refusing.name,), wait_ns=wait_ns
    )


def freed(meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int) -> Judged:
    """The slots of a request that is over are free; what else it was charged stays.

    Told again, or of a request that has none, it changes nothing.
    """
    for account in accounts:
        if account.limit.unit == CONCURRENCY and check.request:
            over = Settlement(
                reserved=1, actual=0, taken_ns=now_ns, now_ns=now_ns, request=check.request
            )
            account.meter.settle(over)
    return passed(meeting, accounts, now_ns)


def lacking(
    meeting: Meeting, accounts: Sequence[LimitAccount], check: Check, now_ns: int
) -> Lacking:
    """The rooms and parts, and the units that they lack: all that a check may wait for."""
    units = asked(accounts, check)
    needed = _needed(meeting, units, check)
    lacks: list[tuple[Waited, int]] = []
    for account, wanted, least in zip(accounts, units, needed, strict=True):
        meter = account.meter
        if isinstance(meter, Room) and meter.lacks(wanted, now_ns):
            lacks.append((meter, wanted))
        elif isinstance(meter, Part) and meter.lacks(least, now_ns):
            lacks.append((meter, least))
    return lacks


def undurable(accounts: Sequence[LimitAccount]) -> Sequence[tuple[Strict[Meter], int]]:
    """The strict meters, and what the log has to have of each before anything is told of them."""
    return [
        (meter, meter.change) for meter in strict_of(accounts) if not meter.is_durable(meter.change)
    ]


def strict_of(accounts: Sequence[LimitAccount]) -> Sequence[Strict[Meter]]:
    """The meters of strict limits."""
    return [account.meter for account in accounts if isinstance(account.meter, Strict)]


def passed(meeting: Meeting, accounts: Sequence[LimitAccount], now_ns: int) -> Judged:
    """It goes on, and so much is left."""
    return Judged(
        admitted=True, meeting=meeting, left=[left_of(account, now_ns) for account in accounts]
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
    needed = _needed(meeting, asked(accounts, check), check)
    left, violated, wait_ns = _against(accounts, needed, now_ns)
    return Judged(
        admitted=not violated, meeting=meeting, left=left, violated=violated, wait_ns=wait_ns
    )


def left_of(account: LimitAccount, now_ns: int) -> Left:
    """What is left, and when there is one more; nothing is said where there are all."""
    meter = account.meter
    remaining = meter.remaining(now_ns)
    following = remaining + 1 if remaining > 0 else 1
    return Left(remaining=remaining, wait_ns=meter.wait_ns(following, now_ns))


def asked(accounts: Sequence[LimitAccount], check: Check) -> Sequence[int]:
    """What the check asks of each."""
    hits = check.hits
    return [  # as Check.of; a call for each costs more than all the rest
        hits if account.limit.unit == REQUESTS else check.of(account.limit.unit)
        for account in accounts
    ]


def _needed(meeting: Meeting, units: Sequence[int], check: Check) -> Sequence[int]:
    """What has to be left: one at least of what is paid for afterwards, as nothing is estimated."""
    if not meeting.settled or not check.hits:
        return units
    needed = list(units)
    for at in meeting.settled:
        needed[at] = max(1, units[at])
    return needed


def _used_up(
    meeting: Meeting,
    accounts: Sequence[LimitAccount],
    units: Sequence[int],
    needed: Sequence[int],
    now_ns: int,
) -> bool:
    """Whether nothing is left of what is to be paid for afterwards."""
    return bool(meeting.settled) and any(
        units[at] < needed[at]
        and not accounts[at].shadow
        and _there(accounts[at].meter, now_ns) <= 0
        for at in meeting.settled
    )


def _there(meter: Meter, now_ns: int) -> int:
    """What can be used without asking anybody."""
    return meter.left(now_ns) if isinstance(meter, Part) else meter.remaining(now_ns)


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
