"""What comes from a cluster while it is watched: changes and measurements, in one queue.

Two threads ask, because a watch waits for as long as nothing changes; the one that writes never
waits for the cluster. They end at the next bookmark after ``close``, so nobody waits for them.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from midstage.cluster.objects import Change, NodeUse, PodUse
from midstage.cluster.protocol import ExpiredError
from midstage.contracts.errors import RefusedError, UnavailableError
from midstage.control.stream.cluster import Watched, WatchEndedError

_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """One measurement."""

    pods: Sequence[PodUse]
    nodes: Sequence[NodeUse]


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
    ) -> None:
        """Begin at once."""
        self._cluster = cluster
        self._since = since
        self._usage_every_s = usage_every_s
        self._monotonic = monotonic
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
                with suppress(UnavailableError, RefusedError):  # unknown is not zero
                    self._put(Uses(pods=self._cluster.usage(), nodes=self._cluster.node_usage()))
                self._ended.wait(self._usage_every_s)
        except Exception as e:  # noqa: BLE001  the writing thread raises it
            self._put(e)

    def _put(self, item: Change | Uses | Exception) -> None:
        if not self._ended.is_set():
            self._came.put((self._monotonic(), item))
