"""Probes and preStop of a container, carried out against its process. None is a success.

A command runs beside it on this machine with its environment, on a leash, in a session that is
killed when its time is up. A GET goes to the pod's one port, whatever port the spec names.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from midstage.contracts import apps
from midstage.local.kubelet.shapes import Handler, Probe
from midstage.local.pods.probes import asked
from midstage.local.pods.process import PodProcess
from midstage.local.ports import LOOPBACK

Ask = Callable[[], Awaitable[str | None]]
_SAID_BYTES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What runs beside the process: its ``env`` and ``port``, and a folder for what is said."""

    env: Mapping[str, str]
    port: int
    folder: Path

    def ask(self, probe: Probe, *, kind: str) -> Ask:
        """How to ask once."""
        timed = timing(probe)

        async def once() -> str | None:
            if probe.exec is not None:
                return await self.executed(
                    probe.exec.command, within_s=timed.timeout_s, name=f"{kind}.out"
                )
            if probe.http_get is not None:
                return await asked(timed, port=self.port)
            if probe.tcp_socket is not None:
                return await self._listens(timed.timeout_s)
            return "the process kubelet does not know this kind of probe"

        return once

    async def before_stop(self, handler: Handler, *, within_s: float) -> str | None:
        """Do what is to be done before SIGTERM, for ``within_s`` at most."""
        if handler.exec is not None:
            return await self.executed(handler.exec.command, within_s=within_s, name="prestop.out")
        if handler.http_get is not None:
            get = apps.Probe(path=handler.http_get.path, timeout_s=max(0.05, within_s))
            return await asked(get, port=self.port)
        if handler.sleep is not None:
            await asyncio.sleep(min(within_s, handler.sleep.seconds))
        return None

    async def executed(self, command: Sequence[str], *, within_s: float, name: str) -> str | None:
        """Run ``command``; what was wrong with it."""
        log = self.folder / name
        log.write_bytes(b"")
        try:
            process = PodProcess(command=command, env=self.env, log=log, told=lambda: None)
        except OSError as e:
            return f"can't start {command[:1]}: {e}"
        try:
            async with asyncio.timeout(within_s):
                await process.ended.wait()
        except TimeoutError:
            return f"command did not end within {within_s:g} s"
        finally:
            process.kill()
        if process.exit_code == 0:
            return None
        said = _end_of(log)
        return f"command ended with {process.exit_code}" + (f": {said}" if said else "")

    async def _listens(self, within_s: float) -> str | None:
        try:
            async with asyncio.timeout(within_s):
                _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except (OSError, TimeoutError) as e:
            return f"nobody listens: {e or type(e).__name__}"
        writer.close()
        return None


def timing(probe: Probe) -> apps.Probe:
    """How often, how long, and when its verdict changes."""
    return apps.Probe(
        path=probe.http_get.path if probe.http_get else "/",
        every_s=float(max(1, probe.period_seconds)),
        timeout_s=float(max(1, probe.timeout_seconds)),
        failures=max(1, probe.failure_threshold),
        initial_delay_s=float(probe.initial_delay_seconds),
    )


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _SAID_BYTES))
        return " ".join(file.read().decode(errors="replace").split())
