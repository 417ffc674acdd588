"""Several limits, checked and charged in one step: all of them or none.

Nothing is awaited between the first meter and the last, so on one thread no other check comes
between. The first limit that refuses takes nothing, what the ones before it took is given back in
the same step, and those behind it are not asked: a refused call consumes nothing anywhere, but for
a limit that is to be drained by it (what only lacks room in the log drains nothing). A limit in
shadow mode takes what it would have taken, refuses nobody, and counts what it would have refused.
"""

from collections.abc import Sequence

from midstage.throttle.model.account import Account, Settlement


def admitted(
    accounts: Sequence[Account], units: Sequence[int], now_ns: int, request: str = ""
) -> Account | None:
    """Charge ``units[i]`` to ``accounts[i]``; None when all have passed, else who refused."""
    for number, account in enumerate(accounts):
        if not account.meter.take(units[number], now_ns, request):
            if not account.shadow:
                _give_back(accounts, units, number, request)
                if account.drain and account.meter.wait_ns(units[number], now_ns) != 0:
                    drain(account, now_ns)
                return account
            account.would_refuse += units[number]
            return _past_shadow(accounts, units, number, now_ns, request)
    return None


def drain(account: Account, now_ns: int) -> None:
    """Take what is left, whether or not there is room for it in the log."""
    left = max(0, account.meter.remaining(now_ns))
    account.meter.settle(Settlement(reserved=0, actual=left, taken_ns=now_ns, now_ns=now_ns))


def _past_shadow(
    accounts: Sequence[Account], units: Sequence[int], failed: int, now_ns: int, request: str
) -> Account | None:
    """The rest of a step in which a shadow limit did not take anything."""
    taken = list(range(failed))
    for number in range(failed + 1, len(accounts)):
        account = accounts[number]
        if account.meter.take(units[number], now_ns, request):
            taken.append(number)
        elif account.shadow:
            account.would_refuse += units[number]
        else:
            for other in reversed(taken):
                accounts[other].meter.undo(units[other], request)
            if account.drain and account.meter.wait_ns(units[number], now_ns) != 0:
                drain(account, now_ns)
            return account
    return None


def _give_back(
    accounts: Sequence[Account], units: Sequence[int], failed: int, request: str
) -> None:
    for number in range(failed - 1, -1, -1):
        accounts[number].meter.undo(units[number], request)
