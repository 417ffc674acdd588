"""Whether terms can be kept: what their types can't say, each with the remedy."""

import re
from typing import Final, assert_never

from midstage.contracts import algorithms
from midstage.contracts.algorithms import Every, Refill
from midstage.contracts.errors import RefusedError
from midstage.contracts.limits import ANY, CONCURRENCY, OpenTo, Terms
from midstage.throttle.decide.meters import calendar

MOST_LOGGED: Final = 100_000
"""A moving window remembers each hit, for each customer."""
MOST_DEBT: Final = 1_000
"""In amounts: a window may have to pay it for so many windows."""
OF_REQUESTS: Final = frozenset({"customer", "app", "key", "plan", "request_id"})
"""What no label can be called: it is said otherwise."""
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._@:+-]{0,127}"
_NAME: Final = re.compile(NAME)


def check(limit: str, terms: Terms) -> None:
    """RefusedError with the first thing that is wrong with them."""
    _check_who(limit, terms)
    _check_algorithm(terms)
    if terms.aggregate:
        _check_aggregate(terms)
    if terms.debt > MOST_DEBT * terms.amount:
        raise RefusedError(f"debt: {terms.debt} is more than {MOST_DEBT} times the amount")
    if (terms.unit == CONCURRENCY) != isinstance(terms.algorithm, algorithms.Slots):
        raise RefusedError("algorithm: slots are for the unit concurrency, and only for it")
    if terms.drain and terms.unit == CONCURRENCY:
        raise RefusedError("drain: slots can't be drained, they belong to requests")
    if terms.strict:
        _check_strict(terms)


def check_name(what: str, name: str) -> None:
    """RefusedError where it can't be the name of ``what``."""
    if not _NAME.fullmatch(name):
        raise RefusedError(
            f"{what}: {name[:140]!r} is no name; up to 128 letters, digits and ._@:+-, "
            "the first one a letter or a digit"
        )


def _check_strict(terms: Terms) -> None:
    """Of what is not kept, nothing can be durable."""
    if terms.unit == CONCURRENCY:
        raise RefusedError(
            "strict: slots are held by requests under way, which the log names soon; leave it out"
        )
    if terms.shadow:
        raise RefusedError(
            "strict: a limit in shadow mode refuses nobody, and what it counts is not kept; "
            "leave one of the two out"
        )


def _check_who(limit: str, terms: Terms) -> None:
    for what, name in (("customer", terms.customer), ("app", terms.app), ("key", terms.key)):
        if name and name != ANY:
            check_name(what, name)
    if terms.plan:
        check_name("plan", terms.plan)
    _check_match(terms)
    if not terms.overrides:
        return
    if terms.customer == ANY:
        raise RefusedError("overrides: only a limit of one customer can override others")
    if terms.shadow:
        raise RefusedError("overrides: a limit in shadow mode refuses nobody, so it overrides none")
    if limit in terms.overrides:
        raise RefusedError("overrides: a limit can't override itself")


def _check_aggregate(terms: Terms) -> None:
    """What can be counted in parts, by several processes."""
    if terms.customer != ANY or terms.key:
        raise RefusedError("aggregate: such a limit is over all customers and keys")
    if terms.strict:
        raise RefusedError("aggregate: a part of a strict limit can't be used without its owner")
    if terms.drain:
        raise RefusedError("drain: a process can't drain the parts that others have")
    if isinstance(terms.on_failure, OpenTo):
        raise RefusedError("on_failure: each process would let so many pass; say open or closed")
    match terms.algorithm:
        case algorithms.Slots():
            raise RefusedError(
                "aggregate: a slot is held as long as its request, which is longer than any part "
                "is lent; limit the concurrency of each customer"
            )
        case algorithms.LeakyBucket() | algorithms.Gcra():
            raise RefusedError("algorithm: say token_bucket, which lets pass the same, in parts")
        case algorithms.MovingWindow():
            raise RefusedError("algorithm: say sliding_counter, which can be counted in parts")
        case _:
            return


def _check_match(terms: Terms) -> None:
    for label, value in terms.match.items():
        if label in OF_REQUESTS:
            raise RefusedError(f"match: {label} is no label; the limit has a field for it, or none")
        if label.startswith("units."):
            raise RefusedError(f"match: {label[:140]} is an estimate; limits have a unit instead")
        if value == ANY:
            raise RefusedError(f"match.{label}: a label has to have one value, {ANY} is not served")


def _check_algorithm(terms: Terms) -> None:
    match terms.algorithm:
        case algorithms.TokenBucket(refill=Refill.WHOLE, burst=int()):
            raise RefusedError("algorithm.burst: a bucket that is refilled whole has none")
        case algorithms.CalendarQuota(zone=zone):
            try:
                calendar.calendar(calendar.Every(Every.DAY.value), zone)
            except ValueError as e:
                raise RefusedError(
                    f"algorithm.zone: {e}; name one of the IANA data base, as Europe/Berlin"
                ) from e
        case algorithms.MovingWindow() if terms.amount > MOST_LOGGED:
            raise RefusedError(
                f"amount: a moving window remembers each hit, so at most {MOST_LOGGED}; "
                "a sliding_counter counts more"
            )
        case (
            algorithms.TokenBucket()
            | algorithms.LeakyBucket()
            | algorithms.Gcra()
            | algorithms.FixedWindow()
            | algorithms.MovingWindow()
            | algorithms.SlidingCounter()
            | algorithms.LifetimeQuota()
            | algorithms.Slots()
        ):
            return
        case _:
            assert_never(terms.algorithm)
