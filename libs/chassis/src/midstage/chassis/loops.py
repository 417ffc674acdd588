"""What a process runs beside its HTTP server: loops in threads and loops on its event loop."""

import asyncio
import threading
from typing import Protocol


class Loop(Protocol):
    """A blocking loop; it gets a thread of its own and returns soon after ``stop`` is set."""

    @property
    def name(self) -> str:
        """How the log calls it."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; raise to crash the process."""
        ...


class AsyncLoop(Protocol):
    """A loop on the process's event loop; it returns soon after ``stop`` is set."""

    @property
    def name(self) -> str:
        """How the log calls it."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; raise to crash the process."""
        ...
