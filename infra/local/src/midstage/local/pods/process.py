"""One process of a pod on a leash: started, signalled, reaped when the kernel says that it ended.

Made and used on the event loop's thread, which is the process's main one: a child on a leash dies
with the thread that started it.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from midstage.local.leash import leashed

_SIGNALLED = 128
"""A process that a signal ended has 128 and the signal's number, as a shell and a kubelet say."""


class PodProcess:
    """A running child in a session of its own; ``ended`` is set when ``exit_code`` is known."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        told: Callable[[], None],
    ) -> None:
        """Start it; OSError where that can't be. ``told`` is called when it has ended."""
        self._told = told
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                leashed(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )
        self.pid = self._child.pid
        self.exit_code: int | None = None
        self.ended = asyncio.Event()
        self._watched = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._watched, self._reap)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it has ended."""
        if not self.ended.is_set():
            self._child.send_signal(number)

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end(self, *, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for what still runs after ``grace_s``."""
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), timeout=grace_s)
        self.kill()
        await self.ended.wait()

    def _reap(self) -> None:
        code = self._child.poll()
        if code is None:
            return
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # what it started does not outlive it
        self.exit_code = code if code >= 0 else _SIGNALLED - code
        self.ended.set()
        self._told()
