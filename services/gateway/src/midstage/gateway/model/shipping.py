"""What the shipper knows: log files, and how far each has been read and acknowledged."""

from dataclasses import dataclass
from datetime import datetime

FLUSH_EVERY_MS = 50
"""Envoy hands its buffered lines to the file this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """One file of the request log; ``closed``: Envoy writes no more into it."""

    stem: str
    begun: datetime
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Kafka has acknowledged the first ``number`` lines of a file: its first ``offset`` bytes.

    ``closed``: and the fact that nothing more will come. Positions only grow, so of two that are
    known for one file the further one is true, whoever wrote it.
    """

    offset: int = 0
    number: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one cluster of Envoy's carries now."""

    in_flight: int
    pending: int
