"""What midstage's own log and clusters say of one application."""

from dataclasses import dataclass
from datetime import datetime

from midstage.contracts.apps import AppSpec
from midstage.gateway.model.apps import Homeless, Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The newest spec that Envoy can be told; ``refused`` says why a newer one was passed over.

    ``routed_at``: since when it asks for the prefix and hosts of ``spec``. ``removed``: nobody
    shall reach it any more, its replicas finish what they have.

    ``readiness_path`` is that of the first spec, for ever: with another one Envoy would begin a new
    cluster, and lose sight of the requests that are open in the old one. ``checked`` are the
    revisions that answer there.
    """

    app: str = ""
    spec: AppSpec | None = None
    routed_at: datetime | None = None
    removed: bool = False
    readiness_path: str = ""
    checked: frozenset[str] = frozenset()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """An application's pods, as Envoy can be told; ``refused`` says why others can't."""

    replicas: tuple[Replica, ...] = ()
    homeless: tuple[Homeless, ...] = ()
    refused: tuple[str, ...] = ()
