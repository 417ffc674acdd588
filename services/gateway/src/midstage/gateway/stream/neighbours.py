"""What the shipper needs of others, as it uses them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from midstage.chassis.clock import Clock
from midstage.eventlog.log import Log
from midstage.gateway.metrics import Metrics
from midstage.gateway.model.shipping import Load, LogFile, Position
from midstage.gateway.stream.source import Bytes


class Sizes(Protocol):
    """The request log's files, from outside."""

    def size(self, stem: str) -> int:
        """Bytes in the file; 0 where it is gone."""
        ...


class Files(Bytes, Sizes, Protocol):
    """The request log's directory, as the shipper uses it."""

    def opened(self) -> Sequence[LogFile]:
        """All files that Envoy has made, the oldest first; all but the last are closed."""
        ...

    def delete(self, stem: str) -> None:
        """Remove the file; nothing happens where it is gone."""
        ...


class Positions(Protocol):
    """How far each file is acknowledged, kept over restarts."""

    def take(self) -> Mapping[str, Position]:
        """Take over from whoever was there before; the furthest position of each file."""
        ...

    def moved(self, positions: Mapping[str, Position]) -> None:
        """Keep the positions; raises where another shipper has taken over."""
        ...

    def check(self) -> None:
        """Raise where another shipper has taken over."""
        ...


class Envoy(Protocol):
    """The running Envoy."""

    def loads(self) -> Mapping[str, Load]:
        """What each cluster carries; UnavailableError where Envoy can't say."""
        ...

    def reopen_logs(self) -> None:
        """Make Envoy open its request log again; UnavailableError where it can't be told."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What the shipper works with."""

    log: Log
    files: Files
    positions: Positions
    clock: Clock
    metrics: Metrics
