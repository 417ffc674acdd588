"""One process: an HTTP server and loops that start together and stop in order.

SIGTERM or SIGINT stops the HTTP server first, then the loops from last to first, and ends with 0;
a second signal ends at once. A loop that raises, or ends unasked, stops the others in order and
ends with 1: crash and be restarted. A loop that does not stop in time is named in the log.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import FastAPI

from midstage.chassis.logs import logger
from midstage.chassis.loops import AsyncLoop, Loop
from midstage.chassis.server import HttpServer
from midstage.chassis.signals import handed_to

__all__ = ["AsyncLoop", "Loop", "Process"]

FORCED = 1
_GRACE_S = 2.0

_log = logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Part:
    """A running loop: how to ask it to stop, how to let go of it, and whether it has ended."""

    name: str
    ask: Callable[[], None]
    abandon: Callable[[], None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def end_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), timeout=max(0.0, seconds))


class Process:
    """Runs ``loops`` in threads, ``async_loops`` and ``app`` on one event loop, until told to stop.

    They start in the order given, threads first; ``port`` 0 takes a free one (the log names it).
    """

    def __init__(
        self,
        *,
        service: str,
        app: FastAPI | None,
        host: str,
        port: int,
        loops: Sequence[Loop] = (),
        async_loops: Sequence[AsyncLoop] = (),
        stop_within_s: float = 8.0,
        stopping: threading.Event | None = None,
        event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        """Keep the parts; nothing starts or listens before ``run``.

        ``stopping`` is set as soon as a stop is asked for: answers without end look at it, or the
        server would wait for them until its time is up. ``event_loop`` makes another one than
        Python's own.
        """
        self._service = service
        self._app = app
        self._address = (host, port)
        self._loops = tuple(loops)
        self._async_loops = tuple(async_loops)
        self._stop_within_s = stop_within_s
        self._asked = stopping or threading.Event()
        self._event_loop = event_loop
        self._wake: Callable[[], None] | None = None
        self._failed = False
        self._watchdog = _later(stop_within_s + _GRACE_S, _force)

    def run(self) -> int:
        """Serve until a signal, ``stop`` or a failure: 0 after an orderly stop that was asked for.

        1 where a loop failed or did not stop, or the address is taken.
        """
        with handed_to(self._signalled):
            try:
                server = self._server()
            except OSError as e:
                host, port = self._address
                _log.error("address_unavailable", raised=e, host=host, port=port)
                return 1
            try:
                with asyncio.Runner(loop_factory=self._event_loop) as runner:
                    code = runner.run(self._serve(server))
            finally:
                self._watchdog.cancel()
        _log.info("stopped", code=code)
        return code

    def stop(self) -> None:
        """Ask for an orderly stop, from any thread."""
        self._asked.set()
        if self._wake is not None:
            self._wake()

    def _server(self) -> HttpServer | None:
        if self._app is None:
            return None
        host, port = self._address
        return HttpServer(app=self._app, host=host, port=port, drain_s=self._stop_within_s / 4)

    async def _serve(self, server: HttpServer | None) -> int:
        event_loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        self._wake = _threadsafe(event_loop, asked.set)
        if self._asked.is_set():
            asked.set()
        async with asyncio.TaskGroup() as tasks:
            parts = [self._threaded(loop, event_loop) for loop in self._loops]
            parts += [self._tasked(loop, tasks) for loop in self._async_loops]
            parts += [self._tasked(server, tasks)] if server else []
            address = server.address if server else None
            _log.info("started", address=address, loops=[part.name for part in parts])
            await asked.wait()
            late = await self._stopped(parts)
        return 1 if self._failed or late else 0

    async def _stopped(self, parts: Sequence[_Part]) -> Sequence[str]:
        """Ask the last part first, each while the time left is shared by those that remain."""
        _log.info("stopping", within_s=self._stop_within_s)
        event_loop = asyncio.get_running_loop()
        deadline = event_loop.time() + self._stop_within_s
        for remaining in range(len(parts), 0, -1):
            part = parts[remaining - 1]
            part.ask()
            await part.end_within((deadline - event_loop.time()) / remaining)
        for part in parts:
            await part.end_within(deadline - event_loop.time())
        late = [part for part in parts if not part.ended.is_set()]
        for part in late:
            _log.error("loop_did_not_stop", loop=part.name, within_s=self._stop_within_s)
            part.abandon()
        return [part.name for part in late]

    def _threaded(self, loop: Loop, event_loop: asyncio.AbstractEventLoop) -> _Part:
        stop = threading.Event()
        part = _Part(name=loop.name, ask=stop.set, abandon=_let_go)
        ended = _threadsafe(event_loop, part.ended.set)

        def work() -> None:
            try:
                loop.run(stop)
            except Exception as e:  # noqa: BLE001  whatever a loop raises ends the process with 1
                self._broke(part.name, e)
            else:
                self._left(part.name, asked=stop.is_set())
            ended()

        threading.Thread(target=work, name=loop.name, daemon=True).start()
        return part

    def _tasked(self, loop: AsyncLoop, tasks: asyncio.TaskGroup) -> _Part:
        stop = asyncio.Event()

        async def work() -> None:
            try:
                await loop.run(stop)
            except Exception as e:  # noqa: BLE001  whatever a loop raises ends the process with 1
                self._broke(part.name, e)
            else:
                self._left(part.name, asked=stop.is_set())
            part.ended.set()

        task = tasks.create_task(work(), name=loop.name)
        part = _Part(name=loop.name, ask=stop.set, abandon=_cancel(task))
        return part

    def _broke(self, name: str, raised: Exception) -> None:
        _log.error("loop_failed", raised=raised, loop=name)
        self._failed = True
        self._end()

    def _left(self, name: str, *, asked: bool) -> None:
        if not asked:
            _log.error("loop_failed", loop=name, error="it ended without being asked to")
            self._failed = True
            self._end()

    def _signalled(self, name: str) -> None:
        """Others write of it: it may come while the main thread is just writing a log line."""
        if self._asked.is_set():
            _later(_GRACE_S, lambda: os._exit(FORCED)).start()  # even where no line can be written
            threading.Thread(target=lambda: _forced_by(name)).start()
            return
        self._end()
        threading.Thread(target=lambda: _log.info("signalled", signal=name)).start()

    def _end(self) -> None:
        """Stop, and see to it that the process ends even where its event loop is blocked."""
        self.stop()
        with suppress(RuntimeError):  # a timer starts once; whoever was first has started it
            self._watchdog.start()


def _later(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """A timer that the end of the process does not wait for."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    return timer


def _force() -> None:
    _log.error("stop_forced", error="the process did not end in time")
    os._exit(FORCED)


def _forced_by(name: str) -> None:
    _log.error("stop_forced", signal=name)
    os._exit(FORCED)


def _let_go() -> None:
    """A thread can't be cancelled; being a daemon, it ends with the process."""


def _cancel(task: asyncio.Task[None]) -> Callable[[], None]:
    def cancel() -> None:
        task.cancel()

    return cancel


def _threadsafe(
    event_loop: asyncio.AbstractEventLoop, call: Callable[[], None]
) -> Callable[[], None]:
    def from_any_thread() -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            event_loop.call_soon_threadsafe(call)

    return from_any_thread
