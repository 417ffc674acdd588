"""What passed by leases, as limits in shadow mode count it.

They are not lent, as they refuse nobody, so holders tell afterwards what passed. It is counted as
if it had come evenly in the time that the report is of, in ``SLICES`` steps: in one step a bucket
would find too much what was never too much. A meter that others have asked since counts from then.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from midstage.throttle.model.account import Account

SLICES: Final = 16
REQUESTS: Final = "requests"


def counted(
    accounts: Sequence[tuple[str, Account]],
    passed: Mapping[str, int],
    *,
    since_ns: int,
    now_ns: int,
) -> int:
    """Take ``passed`` units from the accounts, each with its unit; how many requests are too many.

    Where another unit than requests is short, as large a share of them.
    """
    requests = passed.get(REQUESTS, 0)
    gap = max(0, now_ns - since_ns)
    refused = 0
    for step in range(SLICES):
        at_ns = since_ns + gap * (step + 1) // SLICES
        in_step = _slice(requests, step)
        most = 0
        for unit, account in accounts:
            units = _slice(passed.get(unit, 0), step)
            short = _short(account, units, at_ns)
            if short:
                most = max(most, -(-short * in_step // units))
        refused += most
    return refused


def _slice(units: int, step: int) -> int:
    return units * (step + 1) // SLICES - units * step // SLICES


def _short(account: Account, units: int, at_ns: int) -> int:
    """Take what is there; the rest would have been refused."""
    there = max(0, min(units, account.meter.remaining(at_ns)))
    if there and not account.meter.take(there, at_ns):
        there = 0
    account.would_refuse += units - there
    return units - there
