"""Work that is no request: a nightly batch, a stored gigabyte, a licence, whatever is billed.

Written by services and people to ``midstage.requests.v1`` beside the requests, keyed by source;
read by stats, which bills all units of a known customer. It has no outcome and no duration.
"""

from typing import Annotated

import msgspec

from midstage.contracts.fact import Fact, Name

METERED = "dev.midstage.metered.v1"


class Metered(Fact, frozen=True, kw_only=True):
    """What a customer used at the event's time; ``app`` is empty where no application did it.

    ``units`` are units by name, at most six decimals, each of them billed. ``ref`` is the writer's
    own number, for reconciling.
    """

    customer: Name
    units: Annotated[
        dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], int | float],
        msgspec.Meta(min_length=1, max_length=32),
    ]
    labels: Annotated[dict[str, str], msgspec.Meta(max_length=32)] = {}
    app: Annotated[str, msgspec.Meta(max_length=256)] = ""
    ref: Annotated[str, msgspec.Meta(max_length=256)] = ""
