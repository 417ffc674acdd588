"""What a request really used, of each limit that is charged by an estimate before.

A request's own limits on requests are settled by its check. Of other units it has used what its
fact says; where that is silent about an answered request, the estimate stands, and where the
request was refused or failed, nothing was used. A slot is free when its request has ended.
"""

from collections.abc import Sequence
from math import ceil

from midstage.contracts.limits import BYTES, CONCURRENCY, REQUESTS
from midstage.contracts.requests import KEY_LABEL, Outcome, RequestCompleted
from midstage.throttle.model.checks import Ended

TOKENS = "tokens"
_OF_TOKENS = ("input_tokens", "output_tokens")
_ANSWERED = frozenset({Outcome.OK, Outcome.CANCELLED})
_UNREACHED = frozenset({Outcome.ERROR, Outcome.CANCELLED})


def ended(request: str, fact: RequestCompleted, *, names_replicas: bool = False) -> Ended:
    """What a fact of the edges says of a request; ``tokens`` are those in and out of it.

    Who ``names_replicas`` says with a failed request that has none that it reached none.
    """
    used = {unit: ceil(amount) for unit, amount in fact.usage.items()}
    used[BYTES] = fact.bytes_in + fact.bytes_out
    if TOKENS not in used and any(part in used for part in _OF_TOKENS):
        used[TOKENS] = sum(used.get(part, 0) for part in _OF_TOKENS)
    return Ended(
        request=request,
        customer=fact.customer,
        app=fact.app,
        key=fact.labels.get(KEY_LABEL, ""),
        labels=fact.labels,
        used=used,
        as_estimated=fact.outcome in _ANSWERED,
        passed=not (
            fact.outcome is Outcome.REFUSED
            or (names_replicas and not fact.pod and fact.outcome in _UNREACHED)
        ),
    )


def actual(ended_: Ended, units: Sequence[str], reserved: Sequence[int]) -> Sequence[int]:
    """What is to be charged of each unit, of which so much was reserved."""
    return [
        0 if unit == CONCURRENCY else ended_.used.get(unit, kept if ended_.as_estimated else 0)
        for unit, kept in zip(units, reserved, strict=True)
    ]


def used(ended_: Ended, unit: str, taken: int) -> int:
    """What a request really used of ``taken`` units of which nobody else knows.

    One request is one request, unless it never passed.
    """
    if not ended_.passed:
        return 0
    return taken if unit == REQUESTS else actual(ended_, [unit], [taken])[0]
