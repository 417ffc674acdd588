"""All kinds watched at once, as one stream: in order within each kind, bookmarks while it is quiet.

A thread for each kind reads its lines; they wait while nobody takes what they found, and end with
whoever took. A bookmark's version is the least of what all kinds have come to.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from midstage.cluster.kubernetes.connection import Stream
from midstage.cluster.kubernetes.following import Following
from midstage.cluster.objects import Change

BOOKMARK_S = 2.0
_MOST = 1000
_TURN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Came:
    number: int
    what: Change | Exception


class Merged:
    """The changes of several kinds after version ``since``."""

    def __init__(self, kinds: Sequence[Following], *, since: int) -> None:
        """Ask nothing yet."""
        self._kinds = kinds
        self._reached = [since] * len(kinds)
        self._came: queue.Queue[_Came] = queue.Queue(maxsize=_MOST)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}

    def changes(self) -> Iterator[Change]:
        """Each change without end; raises what ended the first of the watches."""
        for number, kind in enumerate(self._kinds):
            name = f"watch-{number}"
            threading.Thread(target=self._read, args=(number, kind), name=name, daemon=True).start()
        try:
            while True:
                yield self._next()
        finally:
            self._end()

    def _next(self) -> Change:
        """The next change that is an object; a bookmark where none comes for a while."""
        while True:
            try:
                came = self._came.get(timeout=BOOKMARK_S)
            except queue.Empty:
                return Change(resource_version=min(self._reached))
            if isinstance(came.what, Exception):
                raise came.what
            self._reached[came.number] = max(came.what.resource_version, self._reached[came.number])
            if came.what.item is not None:
                return came.what

    def _read(self, number: int, kind: Following) -> None:
        try:
            for change in kind.changes(lambda stream: self._opened(number, stream)):
                if not self._put(_Came(number=number, what=change)):
                    return
        except Exception as e:  # noqa: BLE001  whoever takes the changes raises it
            self._put(_Came(number=number, what=e))

    def _opened(self, number: int, stream: Stream) -> None:
        with self._lock:
            self._streams[number] = stream
            if self._over.is_set():
                stream.let_go()

    def _put(self, came: _Came) -> bool:
        """Wait until there is room; False where nobody takes any more."""
        while not self._over.is_set():
            try:
                self._came.put(came, timeout=_TURN_S)
            except queue.Full:
                continue
            return True
        return False

    def _end(self) -> None:
        with self._lock:
            self._over.set()
            for stream in self._streams.values():
                stream.let_go()
