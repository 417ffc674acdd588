"""What throttle decides of ``midstage.limits.v1``: verdicts of its buckets, and facts of commands.

A limit there is a token bucket with burst, and a check meets one of them.
"""

from typing import assert_never

from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import FailureRule, LimitFact, LimitRemoved, LimitSet
from midstage.throttle.decide.charging import admitted
from midstage.throttle.decide.failing import passed_in_failure
from midstage.throttle.decide.meters.bucket import TokenBucket
from midstage.throttle.model.account import CLOSED, OPEN, Account
from midstage.throttle.model.limits import Command, Limit, RemoveLimit, SetLimit, Slot, Verdict


class Bucket(Account):
    """The account of one customer under one limit."""

    __slots__ = ("limit", "tokens")

    def __init__(self, limit: Limit, now_ns: int) -> None:
        """A full one."""
        self.tokens = TokenBucket(rate_micros=limit.rate_micros, burst=limit.burst, now_ns=now_ns)
        super().__init__(limit.name, self.tokens, debt=limit.burst)
        self.follow(limit, now_ns)

    def follow(self, limit: Limit, now_ns: int) -> None:
        """Hold by ``limit`` from now on."""
        self.limit = limit
        self.on_failure = OPEN if limit.on_failure is FailureRule.OPEN else CLOSED
        self.debt = limit.burst
        self.tokens.follow(rate_micros=limit.rate_micros, burst=limit.burst, now_ns=now_ns)


def take(bucket: Bucket, *, hits: int, now_ns: int) -> Verdict:
    """Take ``hits`` whole tokens, all or none."""
    refused = admitted((bucket,), (hits,), now_ns)
    return _verdict(bucket, hits, now_ns, passed=refused is None)


def take_late(bucket: Bucket, *, hits: int, now_ns: int) -> Verdict:
    """The limit's failure rule, for a question that waited too long for an answer by count.

    Open: it passes and takes the tokens that are there, never into debt, so what passed counts.
    Closed: it is refused and takes nothing.
    """
    refused = passed_in_failure((bucket,), (hits,), now_ns, {})
    return _verdict(bucket, hits, now_ns, passed=refused is None)


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


def _verdict(bucket: Bucket, hits: int, now_ns: int, *, passed: bool) -> Verdict:
    """More than a whole burst never passes; the wait is then that of a full bucket."""
    tokens = bucket.tokens
    remaining = tokens.remaining(now_ns)
    if passed:
        return Verdict(admitted=True, remaining=remaining, wait_ns=tokens.until_more_ns())
    wait = tokens.wait_ns(min(hits, bucket.limit.burst), now_ns)
    return Verdict(admitted=False, remaining=remaining, wait_ns=wait or 0)
