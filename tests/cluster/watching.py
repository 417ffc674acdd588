"""A watcher of a cluster in a thread of its own, and all that it has been told."""

import threading
from collections.abc import Callable, Iterator, Sequence

from midstage.cluster.objects import Change
from midstage.testkit.waiting import within


class Watching:
    """A watcher in a thread of its own."""

    def __init__(self, watch: Iterator[Change]) -> None:
        self.changes: list[Change] = []
        self._watch = watch
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._over = False
        self._thread.start()

    def _read(self) -> None:
        for change in self._watch:
            self.changes.append(change)
            if self._over:
                return

    def until(self, fact: Callable[[Sequence[Change]], bool]) -> list[Change]:
        """All changes up to when they make ``fact`` true."""
        within(60, lambda: fact(tuple(self.changes)))
        self._over = True
        return list(self.changes)
