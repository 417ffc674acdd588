"""Probes of a pod: the verdict of several answers, and HTTP, one GET on a connection of its own.

A status of 200 to 399 is a success, as for a kubelet. The client reads a status line and nothing
else: dozens of pods are asked each second beside everything that runs on the machine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol
from urllib.parse import quote

from midstage.contracts.apps import Probe
from midstage.local.ports import LOOPBACK

_LINE_BYTES = 1024
_STATUS_PARTS = 2
_PATH = "/?&=%:;,+@~!$'()*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the answers so far come to; ``failures`` in a row change it, one success mends it."""

    good: bool
    failures: int = 0

    def after(self, fault: str | None, probe: Probe) -> "Verdict":
        """With one more answer, ``fault`` None where it was a success."""
        if fault is None:
            return Verdict(good=True)
        failures = self.failures + 1
        return Verdict(good=self.good and failures < probe.failures, failures=failures)


class Says(Protocol):
    """Hears a change of the verdict."""

    def __call__(self, *, good: bool, fault: str) -> None:
        """``fault`` is the last answer's, empty where it was a success."""
        ...


async def probing(
    probe: Probe,
    *,
    ask: Callable[[], Awaitable[str | None]],
    good: bool,
    said: Says,
    eager_s: float | None = None,
) -> None:
    """Ask until cancelled; ``said`` hears each change of the verdict, with the fault.

    While the verdict is bad it is asked each ``eager_s``, if that is sooner, as a kubelet may.
    """
    verdict = Verdict(good=good)
    await asyncio.sleep(probe.initial_delay_s)
    while True:
        began = monotonic()
        fault = await ask()
        after = verdict.after(fault, probe)
        if after.good != verdict.good:
            said(good=after.good, fault=fault or "")
        verdict = after
        every_s = probe.every_s if verdict.good or eager_s is None else min(eager_s, probe.every_s)
        await asyncio.sleep(max(0.0, began + every_s - monotonic()))


async def asked(probe: Probe, *, port: int) -> str | None:
    """One GET: None where it went well, else what was wrong with it."""
    try:
        async with asyncio.timeout(probe.timeout_s):
            status = await _status(probe.path, port)
    except TimeoutError:
        return f"GET {probe.path}: no answer within {probe.timeout_s:g} s"
    except (OSError, ValueError) as e:
        return f"GET {probe.path}: {e}"
    return None if 200 <= status < 400 else f"GET {probe.path} answers {status}"


async def _status(path: str, port: int) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port, limit=_LINE_BYTES)
    try:
        writer.write(
            f"GET {quote(path, safe=_PATH)} HTTP/1.1\r\nHost: {LOOPBACK}\r\n"
            "User-Agent: kube-probe\r\nConnection: close\r\n\r\n".encode()
        )
        parts = (await reader.readline()).split()
    finally:
        writer.close()
    if len(parts) < _STATUS_PARTS or not parts[1].isdigit():
        raise ValueError("it does not answer in HTTP")
    return int(parts[1])
