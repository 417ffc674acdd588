"""What people see of the shipper: each file of the request log, and how far it is in Kafka."""

from dataclasses import dataclass
from datetime import datetime

from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on only

from midstage.gateway.model.shipping import LogFile, Position


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedSource:
    """One source; ``size`` is its file's in bytes, ``position`` what Kafka has acknowledged."""

    source: str
    file: LogFile
    position: Position
    size: int
    complete_until: datetime

    @property
    def bytes_behind(self) -> int:
        """Bytes that Kafka has not acknowledged yet."""
        return max(0, self.size - self.position.offset)


class SourceAnswer(TypedDict):
    """``shipped``: the highest number that Kafka has; ``closed``: no more will come."""

    source: str
    file: str
    shipped: int
    bytes: int
    bytes_behind: int
    closed: bool
    complete_until: datetime


class SourcesAnswer(TypedDict):
    """The files that are still there, the oldest first."""

    sources: list[SourceAnswer]


def shown(one: ShippedSource) -> SourceAnswer:
    """As the API answers it."""
    return {
        "source": one.source,
        "file": one.file.stem,
        "shipped": one.position.number,
        "bytes": one.size,
        "bytes_behind": one.bytes_behind,
        "closed": one.file.closed,
        "complete_until": one.complete_until,
    }
