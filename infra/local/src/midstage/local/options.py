"""What ``midstage up`` was asked for; imports nothing heavy, as every command knows ``up``."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Where(StrEnum):
    """What the replicas run in."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One run of it."""

    trace: str
    speed: float
    requests: int | None
    stop_after: bool
    report: Path | None
    directory: Path
    replicas: int
    cluster: Where
    shards: int
    scalers: int
