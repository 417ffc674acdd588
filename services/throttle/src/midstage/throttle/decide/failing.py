"""When a check can't be decided by count: the failure rule of each limit it meets.

``open`` passes and takes what is there, ``closed`` refuses, ``open_to`` passes up to N in a period,
all replicas together: each has its share of N, so that a store that is away never multiplies a
limit by the number of replicas.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from midstage.throttle.decide.meters.meter import Meter
from midstage.throttle.model.account import Account, OnFailure, Settlement


def share(most: int, *, replicas: int, replica: int) -> int:
    """What one of ``replicas``, numbered from 0, may let pass; the shares add up to ``most``."""
    return most // replicas + (replica < most % replicas)


def passed_in_failure(
    accounts: Sequence[Account],
    units: Sequence[int],
    now_ns: int,
    fallbacks: Mapping[str, Meter],
    request: str = "",
) -> Account | None:
    """None when every limit's rule lets it pass, else the first that does not; all or nothing.

    ``fallbacks`` are the meters of this replica's shares, by the limit's name; a limit without one
    has no share. What passes an ``open`` limit takes what is there, never into debt.
    """
    taken: list[tuple[Meter, int]] = []
    for account, wanted in zip(accounts, units, strict=True):
        if account.shadow or account.on_failure.rule is OnFailure.OPEN:
            continue
        fallback = fallbacks.get(account.name)
        if not _passes(account, fallback, wanted, now_ns):
            for meter, used in reversed(taken):
                meter.undo(used)
            return account
        if fallback is not None:
            taken.append((fallback, wanted))
    for account, wanted in zip(accounts, units, strict=True):
        if account.on_failure.rule is OnFailure.OPEN:
            _take_what_is_there(account, wanted, now_ns, request)
    return None


def _take_what_is_there(account: Account, units: int, now_ns: int, request: str) -> None:
    """It has passed, whether or not there is room for it in the log."""
    there = max(0, min(units, account.meter.remaining(now_ns)))
    if there and not account.meter.take(there, now_ns, request):
        passed = Settlement(
            reserved=0, actual=there, taken_ns=now_ns, now_ns=now_ns, request=request
        )
        account.meter.settle(passed)


def _passes(account: Account, fallback: Meter | None, units: int, now_ns: int) -> bool:
    match account.on_failure.rule:
        case OnFailure.OPEN:
            return True
        case OnFailure.CLOSED:
            return False
        case OnFailure.OPEN_TO:
            return fallback is not None and fallback.take(units, now_ns)
        case _:
            assert_never(account.on_failure.rule)
