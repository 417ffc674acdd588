"""What customers may have spent: room that an owner of their counters took before it used it.

Written by throttle to ``midstage.spends.v1``, a compacted stream keyed by limit, customer and API
key: the newest record of a key says what stands of it, so nothing older has to be read. All keys of
a customer are in the customer's partition (murmur2), beside the records of who took that partition.
A record without a value says that the counter equals a new one, if the owner and epoch in its
header ``ms-holder`` held the partition then.
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from midstage.contracts.fact import Fact, Name

ROOM_TAKEN = "dev.midstage.room.taken.v1"
CUSTOMERS_TAKEN = "dev.midstage.customers.taken.v1"
CUSTOMERS_LEFT = "dev.midstage.customers.left.v1"
RESERVATIONS_LEFT = "dev.midstage.reservations.left.v1"
CUSTOMERS_WANTED = "dev.midstage.customers.wanted.v1"

Epoch = Annotated[int, msgspec.Meta(ge=1)]
LONGEST_REQUEST: Final = 128
"""Characters of a request's id that a record names."""
MOST_UNANSWERED: Final = 128
"""Requests that one record names."""
MOST_RESERVATIONS: Final = 500
"""Open ones that one record names, and as many settled ones."""


class Unanswered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that passes with a strict limit's record, and may never have been told so.

    ``units`` count as used for it since ``taken_ns``, in nanoseconds since the epoch.
    """

    request: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REQUEST)]
    units: Annotated[int, msgspec.Meta(ge=1)]
    taken_ns: Annotated[int, msgspec.Meta(ge=0)]


class RoomTaken(Fact, frozen=True, kw_only=True):
    """Whoever counts ``limit`` for ``customer`` next has to take ``units`` more for used.

    ``key`` is the name of the API key, where each has a counter of its own. The one counter of an
    aggregate limit has the limit's own name for its customer.
    ``standing`` is that counter's state, whole numbers whose meaning ``algorithm`` knows, as text
    since they don't fit 64 bits. It counts if ``owner`` held the partition under ``epoch`` then.
    ``unanswered`` are in it: where one of them never passed, its units come back.
    """

    limit: Name
    customer: Name
    key: str = ""
    units: Annotated[int, msgspec.Meta(ge=0)]
    algorithm: Name
    standing: tuple[str, ...]
    owner: Name
    epoch: Epoch
    at: datetime
    unanswered: Annotated[tuple[Unanswered, ...], msgspec.Meta(max_length=MOST_UNANSWERED)] = ()


class CustomersTaken(Fact, frozen=True, kw_only=True, omit_defaults=True):
    """``owner`` counts for the customers of this partition from here on, or still.

    Of each epoch the first record counts, whoever wrote it, and what its owner says again: who
    stops, or finds out that another one is gone, names who comes next. ``address`` is where it
    answers checks, host:port, and ``http_address`` where its API is. Until ``implied_until`` it may
    use the first units of every counter without a record of them: whoever counts next begins
    without those; None: it uses none.
    """

    partition: Annotated[int, msgspec.Meta(ge=0)]
    owner: Name
    epoch: Epoch
    address: str = ""
    http_address: str = ""
    implied_until: datetime | None = None
    at: datetime


class CustomersLeft(Fact, frozen=True, kw_only=True):
    """``owner`` counts no more for the customers of this partition, which it held by ``epoch``.

    What its counters stood at is in the log before this, exactly: it uses nothing after it.
    """

    partition: Annotated[int, msgspec.Meta(ge=0)]
    owner: Name
    epoch: Epoch
    at: datetime


class CustomersWanted(Fact, frozen=True, kw_only=True):
    """``owner`` would count for the customers of this partition, as others hold more of them.

    Who holds it by ``epoch`` leaves it to that one, in order; of another epoch it says nothing, and
    whoever does not know this fact is taken from when some seconds are over.
    """

    partition: Annotated[int, msgspec.Meta(ge=0)]
    owner: Name
    epoch: Epoch
    address: str = ""
    http_address: str = ""
    at: datetime


class Reserved(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """``units`` of ``limit`` that a request took; ``key``: where each API key has a counter."""

    limit: Name
    key: str = ""
    units: Annotated[int, msgspec.Meta(ge=0)]


class OpenReservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request took at ``taken_ns``; it comes back at ``until_ns`` if it is never settled.

    Nanoseconds since the epoch.
    """

    request: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REQUEST)]
    customer: Name
    taken_ns: Annotated[int, msgspec.Meta(ge=0)]
    until_ns: Annotated[int, msgspec.Meta(ge=0)]
    of: Annotated[tuple[Reserved, ...], msgspec.Meta(max_length=256)] = ()


class SettledRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that was settled: what is told of it until ``until_ns`` changes nothing."""

    request: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REQUEST)]
    customer: Name
    until_ns: Annotated[int, msgspec.Meta(ge=0)]


class ReservationsLeft(Fact, frozen=True, kw_only=True):
    """What requests have reserved and settled of the customers whom ``owner`` is about to leave.

    Of ``CustomersLeft`` with the same epoch, before it in the log; in parts, as there may be many.
    """

    partition: Annotated[int, msgspec.Meta(ge=0)]
    owner: Name
    epoch: Epoch
    part: Annotated[int, msgspec.Meta(ge=0)]
    reservations: Annotated[
        tuple[OpenReservation, ...], msgspec.Meta(max_length=MOST_RESERVATIONS)
    ] = ()
    settled: Annotated[tuple[SettledRequest, ...], msgspec.Meta(max_length=MOST_RESERVATIONS)] = ()
    at: datetime
