"""What comes from a cluster while it is watched: changes and measurements, in one queue.

Two threads ask, because a watch waits for as long as nothing changes; the one that writes never
waits for the cluster. They end at the next bookmark after ``close``, so nobody waits for them.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from midstage.cluster.objects import Change
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.control.model import GpuUse, Uses
from midstage.control.stream.cluster import Watched, WatchEndedError

T = TypeVar("T")
SILENT_S = 15.0
"""A watch that tells nothing for so long, not even a bookmark, is half open: it has ended."""
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """Changes in order, and the newest measurement.

    ``first_at``: when the first change that is no bookmark came (monotonic); 0: there is none.
    """

    changes: Sequence[Change]
    first_at: float
    uses: Uses | None


class Watching:
    """One watch from one resource version on, and measurements each ``usage_every_s``."""

    def __init__(
        self,
        cluster: Watched,
        *,
        since: int,
        usage_every_s: float,
        monotonic: Callable[[], float],
        gpus: Callable[[], Sequence[GpuUse]],
        silent_s: float = SILENT_S,
    ) -> None:
        """Begin at once; ``gpus`` measures what the cluster itself does not."""
        self._cluster = cluster
        self._since = since
        self._usage_every_s = usage_every_s
        self._monotonic = monotonic
        self._gpus = gpus
        self._silent_s = silent_s
        self._heard_at = monotonic()
        self._ended = threading.Event()
        self._came: queue.SimpleQueue[tuple[float, Change | Uses | Exception]] = queue.SimpleQueue()
        for name, work in (("watch", self._watch), ("usage", self._measure)):
            threading.Thread(target=work, name=f"{name}:{cluster.name}", daemon=True).start()

    def take(self, within_s: float) -> Came:
        """What has come, waiting for something up to ``within_s``.

        Raises what ended the watch (ExpiredError, WatchEndedError) after all that came before it.
        """
        changes: list[Change] = []
        first_at = 0.0
        uses: Uses | None = None
        wait_s = within_s
        while len(changes) < _MOST:
            try:
                at, item = self._came.get(timeout=wait_s) if wait_s else self._came.get_nowait()
            except queue.Empty:
                break
            wait_s = 0.0
            match item:
                case Exception():
                    if changes or uses is not None:
                        self._came.put((at, item))  # it is the watch's last word: nothing follows
                        break
                    raise item
                case Change():
                    first_at = first_at or (0.0 if item.item is None else at)
                    changes.append(item)
                case Uses():
                    uses = item
        if not changes and self._monotonic() - self._heard_at > self._silent_s:
            raise WatchEndedError(f"{self._cluster.name}: the watch told nothing for a while")
        return Came(changes=changes, first_at=first_at, uses=uses)

    def close(self) -> None:
        """Let both threads end when they hear something next."""
        self._ended.set()

    def _watch(self) -> None:
        try:
            for change in self._cluster.watch(self._since):
                if self._ended.is_set():
                    return
                self._put(change)
            self._put(WatchEndedError(f"{self._cluster.name}: the watch ended"))
        except ExpiredError as e:
            self._put(e)
        except (UnavailableError, RefusedError) as e:
            self._put(WatchEndedError(str(e)))
        except Exception as e:  # noqa: BLE001  the writing thread raises it
            self._put(e)

    def _measure(self) -> None:
        try:
            while not self._ended.is_set():
                pods, nodes = _told(self._cluster.usage), _told(self._cluster.node_usage)
                quotas = _told(self._cluster.quotas)
                if pods or nodes or quotas:
                    self._put(Uses(pods=pods, nodes=nodes, gpus=self._gpus(), quotas=quotas))
                self._ended.wait(self._usage_every_s)
        except Exception as e:  # noqa: BLE001  the writing thread raises it
            self._put(e)

    def _put(self, item: Change | Uses | Exception) -> None:
        if self._ended.is_set():
            return
        at = self._monotonic()
        if isinstance(item, Change):
            self._heard_at = at
        self._came.put((at, item))


def _told(question: Callable[[], Sequence[T]]) -> Sequence[T]:
    """What was measured; nothing where it can't be asked now: unknown is not zero."""
    try:
        return question()
    except (UnavailableError, RefusedError):
        return ()
