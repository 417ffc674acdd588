"""What customers may have spent: room that an owner of their counters took before it used it.

Written by throttle to ``midstage.spends.v1``, a compacted stream keyed by limit, customer and API
key: the newest record of a key says what stands of it, so nothing older has to be read. All keys of
a customer are in the customer's partition (murmur2), beside the records of who took that partition.
A record without a value says that the counter equals a new one, if the owner and epoch in its
header ``ms-holder`` held the partition then.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from midstage.contracts.fact import Fact, Name

ROOM_TAKEN = "dev.midstage.room.taken.v1"
CUSTOMERS_TAKEN = "dev.midstage.customers.taken.v1"

Epoch = Annotated[int, msgspec.Meta(ge=1)]


class RoomTaken(Fact, frozen=True, kw_only=True):
    """Whoever counts ``limit`` for ``customer`` next has to take ``units`` more for used.

    ``key`` is the name of the API key, where each has a counter of its own.
    ``standing`` is that counter's state, whole numbers whose meaning ``algorithm`` knows, as text
    since they don't fit 64 bits. It counts if ``owner`` held the partition under ``epoch`` then.
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


class CustomersTaken(Fact, frozen=True, kw_only=True):
    """``owner`` counts for the customers of this partition from here on.

    Of each epoch the first record counts. ``address`` is where it answers checks, host:port.
    """

    partition: Annotated[int, msgspec.Meta(ge=0)]
    owner: Name
    epoch: Epoch
    address: str = ""
    at: datetime
