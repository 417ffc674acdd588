"""Who asked or ordered what of the platform: one fact for each, answered or refused.

Written by the APIs to ``midstage.audit.v1``, keyed by actor. A fact is written after its answer, so
what a process had not yet written when it was killed is missing: it is evidence, not a lock.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from midstage.contracts.fact import Fact, Name

QUERIED = "dev.midstage.audit.queried.v1"

OPERATOR = "operator"
"""The actor who has the platform's token."""
CUSTOMER = "customer/"
"""Before the customer whose key was used."""
LONGEST_QUERY = 8192


class Queried(Fact, frozen=True, kw_only=True):
    """Somebody with a valid key asked or ordered, and was answered with this HTTP status.

    ``actor`` is ``operator`` or ``customer/<name>``; ``query`` is the question or order as it was
    asked, cut after 8,192 characters; of posted events the type and size of the body alone.
    """

    actor: Name
    service: Name
    method: Name
    route: Name
    query: Annotated[str, msgspec.Meta(max_length=LONGEST_QUERY)] = ""
    status: Annotated[int, msgspec.Meta(ge=100, le=599)]
    at: datetime
