"""Which applications this process decides, as a versioned log says, and in which epoch.

What is decided under an epoch that is over does not count, for any reader: so asking here is no
lock, it only keeps a process from work that would be in vain.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from midstage.eventlog.appended import PartitionTaken
from midstage.eventlog.murmur2 import partition_of

_REMEMBERED: Final = 100_000


class Owning:
    """What one process holds of one log; any number of threads may ask."""

    def __init__(
        self, *, held: Callable[[], Mapping[int, PartitionTaken]], partitions: int, owner: str
    ) -> None:
        """``held`` is who holds each partition now."""
        self._held = held
        self._owner = owner
        self._number = lru_cache(_REMEMBERED)(lambda app: partition_of(app.encode(), partitions))

    def epoch(self, app: str) -> int | None:
        """The epoch in which this process decides it; None: another one does, or nobody yet."""
        taken = self._held().get(self._number(app))
        return taken.epoch if taken is not None and taken.owner == self._owner else None
