"""Answers without end: pieces from a blocking source, each sent as it comes.

The source runs in a thread of its own, so none of the few threads that answer other questions is
taken, and a caller who leaves, or a process that stops, ends the answer at once. A slow caller
makes the source wait. So many at the same time and no more.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import CancelledError

from starlette.responses import StreamingResponse

from midstage.chassis.logs import logger
from midstage.contracts.errors import MidstageError, UnavailableError

_GLANCE_S = 0.2
_WAITING = 16
_SOURCES_EACH = 4  # a source that waits for a quiet pod outlives its listener for a while
_log = logger(__name__)


class Endless:
    """Opens streaming answers; ``most`` of them at once."""

    def __init__(
        self, *, most: int, stopping: threading.Event, count: Callable[[int], None]
    ) -> None:
        """``count`` is told how many are open."""
        self._most = most
        self._stopping = stopping
        self._count = count
        self._listeners = 0
        self._sources = 0
        self._lock = threading.Lock()

    def answer(self, source: Callable[[], Iterator[bytes]], media_type: str) -> StreamingResponse:
        """The answer; what opening ``source`` raises is raised here, before anything was sent.

        UnavailableError where too many are open.
        """
        if self._listeners >= self._most or self._sources >= self._most * _SOURCES_EACH:
            raise UnavailableError(f"{self._most} streams are open, not more; close one")
        return StreamingResponse(
            self._pieces(source()),
            media_type=media_type,
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _pieces(self, source: Iterator[bytes]) -> AsyncIterator[bytes]:
        pump = _Pump(source, asyncio.get_running_loop())
        threading.Thread(target=self._run, args=(pump,), name="stream", daemon=True).start()
        taking = asyncio.ensure_future(pump.held.get())
        self._move(listeners=1)
        try:
            while not self._stopping.is_set():
                done, _ = await asyncio.wait({taking}, timeout=_GLANCE_S)
                if not done:
                    continue
                piece = taking.result()
                if piece is None:
                    return
                yield piece
                taking = asyncio.ensure_future(pump.held.get())
        finally:
            pump.left.set()
            taking.cancel()
            self._move(listeners=-1)

    def _run(self, pump: "_Pump") -> None:
        self._move(sources=1)
        try:
            pump.run()
        except MidstageError as e:
            _log.info("stream_broke_off", reason=str(e))
        finally:
            self._move(sources=-1)

    def _move(self, *, listeners: int = 0, sources: int = 0) -> None:
        with self._lock:
            self._listeners += listeners
            self._sources += sources
            self._count(self._listeners)


class _Pump:
    """Carries pieces from a thread to the event loop; None in ``held``: there are no more."""

    def __init__(self, source: Iterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.held: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self.left = threading.Event()
        self._source = source
        self._loop = loop

    def run(self) -> None:
        try:
            for piece in self._source:
                if piece and not self._put(piece):
                    return
        finally:
            self._put(None)
            if isinstance(self._source, Generator):
                self._source.close()

    def _put(self, piece: bytes | None) -> bool:
        """Whether the listener is still there; waits while it is slow."""
        if self.left.is_set() or self._loop.is_closed():
            return False
        putting = asyncio.run_coroutine_threadsafe(self.held.put(piece), self._loop)
        while not self.left.is_set():
            try:
                putting.result(timeout=_GLANCE_S)
            except TimeoutError:
                continue
            except CancelledError:
                return False  # the event loop has ended
            return True
        putting.cancel()
        return False
