"""Which unnumbered events were counted, asked by many threads one at a time."""

import threading

from midstage.stats.model import Flags, Hashes
from midstage.stats.stream.counting import Seen


class OneAtATime:
    """Implements ``counting.Seen`` with another one that a single thread may use at a time."""

    def __init__(self, seen: Seen) -> None:
        """All calls of ``seen`` go through here from now on."""
        self._seen = seen
        self._lock = threading.Lock()

    def known(self, marks: Hashes) -> Flags:
        """See ``counting.Seen.known``."""
        with self._lock:
            return self._seen.known(marks)

    def absorb(self, marks: Hashes, *, row: int) -> None:
        """See ``counting.Seen.absorb``."""
        with self._lock:
            self._seen.absorb(marks, row=row)

    def mark(self) -> int:
        """See ``counting.Seen.mark``."""
        with self._lock:
            return self._seen.mark()
