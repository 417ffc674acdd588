"""uvicorn as one of the process's loops: it neither touches signals nor logs by itself.

The socket is bound when it is made, so a taken address is an error before anything starts.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

_BACKLOG = 512


class HttpServer:
    """An async loop that serves ``app``; OSError where the address can't be had."""

    def __init__(
        self,
        *,
        app: ASGIApp,
        host: str,
        port: int,
        drain_s: float,
        name: str = "http",
        tls: Path | None = None,
    ) -> None:
        """Bind; open requests get ``drain_s`` to end when the server is stopped.

        With ``tls``, a file of key and certificate, it speaks HTTPS.
        """
        self.name = name
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # asyncio does this only for sockets made with a protocol number; accepted ones inherit it
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(drain_s)),
                ssl_certfile=tls,
            )
        )

    @property
    def address(self) -> str:
        """``host:port`` as it was bound."""
        host, port = self._listener.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set."""
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(self._leave_after(stop))
            await self._server.serve(sockets=[self._listener])
            leaving.cancel()

    async def _leave_after(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._server.should_exit = True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to ``process.Process``, which stops everything in order."""
        yield
