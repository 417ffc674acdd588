"""What Envoy says of itself, and what follows from it for each replica."""

from collections.abc import Mapping
from dataclasses import dataclass

from midstage.contracts.routes import Way
from midstage.gateway.model.apps import Place, Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One address of one of Envoy's clusters.

    ``draining``: Envoy was told so and it gets no new requests; ``failing``: its readiness does not
    answer; ``checking``: it was not asked yet. ``active`` requests are open on it, ``waiting`` ones
    were given to it and wait for a connection, ``begun`` counts all since Envoy knows it.
    """

    draining: bool = False
    failing: bool = False
    checking: bool = False
    active: int = 0
    waiting: int = 0
    begun: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer of Envoy's: the version of its routes, and its hosts by application."""

    routes: str
    hosts: Mapping[Place, Host]

    @property
    def serving(self) -> frozenset[Place]:
        """Where it sends new requests."""
        return frozenset(
            place
            for place, host in self.hosts.items()
            if not (host.draining or host.failing or host.checking)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Since when (monotonic seconds) a replica is out in Envoy, and no request came to it since."""

    replica: Replica
    begun: int
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is so with one replica; ``watch`` is to be given back at the next look."""

    way: Way
    active: int
    watch: Watch | None = None
