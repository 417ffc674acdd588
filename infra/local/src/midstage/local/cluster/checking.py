"""The checks of a pod before it may be ready: each a shell script that has to end with 0.

They run beside its process, one after the other, with its environment; what they say stands in its
log. One that fails is tried again each second, until its time since the start is over.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from midstage.contracts.running import Check
from midstage.local.pods.process import PodProcess

AGAIN_S = 1.0
SHELL = ("/bin/sh", "-c")


async def passing(checks: Sequence[Check], *, env: Mapping[str, str], log: Path) -> str:
    """Wait until all have passed; else what was wrong with the one that never did."""
    began = monotonic()
    for check in checks:
        while fault := await _fault(check, env, log):
            if monotonic() - began + AGAIN_S > check.within_s:
                return f"check {check.name} {fault}, {check.within_s:g} s after the start"
            await asyncio.sleep(AGAIN_S)
    return ""


async def _fault(check: Check, env: Mapping[str, str], log: Path) -> str:
    process = PodProcess(command=(*SHELL, check.script), env=env, log=log, told=lambda: None)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(check.timeout_s):
                await process.ended.wait()
    finally:
        process.kill()
    if process.exit_code == 0:
        return ""
    if process.exit_code is None:
        return f"did not end within {check.timeout_s:g} s"
    return f"ended with {process.exit_code}"
