"""What throttle decides: whether a request passes its bucket, and which facts a command makes.

A refused check takes nothing. A bucket that meets a changed limit keeps its level, bounded by the
new burst; what it gained since it was last touched counts at the lower of the two rates, so no
change of a limit admits more than the old or the new one would.
"""

from typing import assert_never

from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import FailureRule, LimitFact, LimitRemoved, LimitSet
from midstage.throttle.model import (
    TOKEN,
    Bucket,
    Command,
    Limit,
    RemoveLimit,
    SetLimit,
    Slot,
    Verdict,
)


def untouched(limit: Limit, now_ns: int) -> Bucket:
    """The bucket of a customer that has not been seen: full."""
    return Bucket(level=limit.full, at_ns=now_ns, rate_micros=limit.rate_micros)


def filled(bucket: Bucket, limit: Limit, now_ns: int) -> Bucket:
    """The bucket at ``now_ns`` under ``limit``; a clock that went back fills nothing."""
    elapsed_ns = max(0, now_ns - bucket.at_ns)
    rate = min(bucket.rate_micros, limit.rate_micros)
    return Bucket(
        level=min(limit.full, bucket.level + rate * elapsed_ns),
        at_ns=bucket.at_ns + elapsed_ns,
        rate_micros=limit.rate_micros,
    )


def take(bucket: Bucket, limit: Limit, *, hits: int, now_ns: int) -> tuple[Bucket, Verdict]:
    """Take ``hits`` whole tokens, all or none."""
    now = filled(bucket, limit, now_ns)
    cost = hits * TOKEN
    if cost > now.level:
        return now, _refused(now, limit, cost)
    left = _less(now, cost)
    return left, _admitted(left, limit)


def take_late(bucket: Bucket, limit: Limit, *, hits: int, now_ns: int) -> tuple[Bucket, Verdict]:
    """The limit's failure rule, for a question that waited too long for an answer by count.

    Open: it passes and takes the tokens that are there, never into debt, so what passed counts.
    Closed: it is refused and takes nothing.
    """
    now = filled(bucket, limit, now_ns)
    cost = hits * TOKEN
    match limit.on_failure:
        case FailureRule.OPEN:
            left = _less(now, min(cost, now.level))
            return left, _admitted(left, limit)
        case FailureRule.CLOSED:
            return now, _refused(now, limit, cost)
        case _:
            assert_never(limit.on_failure)


def full(bucket: Bucket, limit: Limit, now_ns: int) -> bool:
    """Whether forgetting the bucket changes nothing."""
    return filled(bucket, limit, now_ns).level == limit.full


def decide(slot: Slot, command: Command) -> tuple[LimitFact, ...]:
    """The facts of a command; RefusedError (404) where there is no limit to remove."""
    match command:
        case SetLimit():
            return (_set(command),)
        case RemoveLimit():
            if slot.standing is None:
                raise RefusedError(f"there is no limit {command.limit!r} to remove", status=404)
            return (
                LimitRemoved(limit=command.limit, by=command.by, why=command.why, at=command.at),
            )
        case _:
            assert_never(command)


def evolve(slot: Slot, fact: LimitFact) -> Slot:  # noqa: ARG001  a limit's last fact is its state
    """The slot after a fact."""
    match fact:
        case LimitSet():
            return Slot(standing=fact)
        case LimitRemoved():
            return Slot()
        case _:
            assert_never(fact)


def _set(command: SetLimit) -> LimitSet:
    return LimitSet(
        limit=command.limit,
        customer=command.customer,
        app=command.app,
        rate_per_s=command.rate_per_s,
        burst=command.burst,
        on_failure=command.on_failure,
        by=command.by,
        why=command.why,
        at=command.at,
    )


def _less(bucket: Bucket, cost: int) -> Bucket:
    return Bucket(level=bucket.level - cost, at_ns=bucket.at_ns, rate_micros=bucket.rate_micros)


def _admitted(bucket: Bucket, limit: Limit) -> Verdict:
    whole, part = divmod(bucket.level, TOKEN)
    missing = 0 if bucket.level == limit.full else TOKEN - part
    return Verdict(admitted=True, remaining=whole, wait_ns=_wait_ns(missing, limit))


def _refused(bucket: Bucket, limit: Limit, cost: int) -> Verdict:
    """More than a whole burst never passes; the wait is then that of a full bucket."""
    missing = max(0, min(cost, limit.full) - bucket.level)
    return Verdict(
        admitted=False, remaining=bucket.level // TOKEN, wait_ns=_wait_ns(missing, limit)
    )


def _wait_ns(missing: int, limit: Limit) -> int:
    return -(-missing // limit.rate_micros)
