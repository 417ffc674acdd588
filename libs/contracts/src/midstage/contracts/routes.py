"""What an edge sends where: which pods get an application's requests, which are drained.

Written by gateway to ``midstage.routes.v1``, keyed by application, whenever it changes and at least
every 2 s; read by deploy, which stops no pod before every living edge says that it is drained.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from midstage.contracts.fact import Fact, Name

ROUTES_APPLIED = "dev.midstage.routes.applied.v1"


class Way(StrEnum):
    """What an edge does with a pod; only what Envoy confirmed is said."""

    SERVING = "serving"  # new requests go to it
    DRAINING = "draining"  # no new requests; some are open, or it may serve again unasked
    DRAINED = "drained"  # marked as draining or ending; no new requests, none open


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that the edge knows of; ``active`` requests are open on it.

    ``resource_version`` is that of the pod's newest fact that this follows from: what is said of a
    pod whose mark has a higher one says nothing about the mark.
    """

    pod: Name
    address: str
    way: Way
    active: Annotated[int, msgspec.Meta(ge=0)] = 0
    cluster: str = ""
    revision: str = ""
    uid: str = ""
    resource_version: int = 0


class RoutesApplied(Fact, frozen=True, kw_only=True):
    """All endpoints of one application at one edge, as Envoy has them at ``at``.

    ``spec_version`` is the version of ``midstage.apps.v1`` whose routes are in force.
    """

    edge: Name
    app: Name
    at: datetime
    spec_version: int = 0
    prefix: str = ""
    hosts: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
