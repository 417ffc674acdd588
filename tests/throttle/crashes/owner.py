"""One of the throttles of a run: a process of its own, with a killer and ports that it keeps."""

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from midstage.testkit.kill import ordered
from tests.ports import free_port

TOKEN = "a-token-of-this-run"
DIES_WITHIN_S = 60.0
READY_WITHIN_S = 120.0


@dataclass(slots=True, kw_only=True)
class Owner:
    """A place for a process; ``counted`` is what its lives have counted, as far as was heard."""

    number: int
    env: dict[str, str]
    directory: Path
    port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    counted: dict[str, float] = field(default_factory=dict)
    _heard: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.http_port}"

    async def start(self) -> None:
        """A new life, until it has its share of the customers."""
        self._order.unlink(missing_ok=True)
        self._told()
        token = self.directory / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        env = {
            **os.environ,
            **self.env,
            "MIDSTAGE_THROTTLE_PORT": str(self.http_port),
            "MIDSTAGE_THROTTLE_GRPC_PORT": str(self.port),
            "MIDSTAGE_THROTTLE_TOKEN_FILE": str(token),
        }
        killer = [sys.executable, "-m", "midstage.testkit.kill", "--order", str(self._order)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*killer, "--", "tests.throttle.dying"], env=env, stderr=log
            )
        async with asyncio.timeout(READY_WITHIN_S), httpx.AsyncClient() as http:
            while not await self._is_ready(http):
                if self.process.poll() is not None:
                    raise RuntimeError(self._log.read_text()[-2000:])
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Death at this moment."""
        assert self.process is not None
        await self.listen()
        self.process.kill()
        await asyncio.to_thread(self.process.wait, DIES_WITHIN_S)

    async def die(self, place: str, *, nth: int, stopping: bool = False) -> None:
        """Death at a place in the code, while it works or while it stops."""
        assert self.process is not None
        await self.listen()
        ordered(self._order, place, nth=nth)
        if stopping:
            self.process.terminate()
        try:
            await asyncio.to_thread(self.process.wait, DIES_WITHIN_S)
        except subprocess.TimeoutExpired:
            await self.kill()

    async def stop(self) -> None:
        """An orderly end; RuntimeError where it is none."""
        assert self.process is not None
        await self.listen()
        self.process.terminate()
        code = await asyncio.to_thread(self.process.wait, DIES_WITHIN_S)
        if code:
            raise RuntimeError(f"ended with {code}: {self._log.read_text()[-2000:]}")

    def end(self) -> None:
        """It is gone, whatever comes."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DIES_WITHIN_S)

    async def listen(self) -> None:
        """What it has counted in this life; what comes after is not heard."""
        async with httpx.AsyncClient(timeout=READY_WITHIN_S) as http:
            told = (await http.get(f"{self.url}/metrics")).text
        for name in ("forwarded", "takings", "handed_over", "failure_mode_allowed"):
            found = re.search(rf"^midstage_throttle_{name}_total (\S+)$", told, re.M)
            self._heard[name] = float(found[1]) if found else 0.0

    def total(self, name: str) -> int:
        """Over all lives."""
        return int(self.counted.get(name, 0.0) + self._heard.get(name, 0.0))

    def _told(self) -> None:
        for name, value in self._heard.items():
            self.counted[name] = self.counted.get(name, 0.0) + value
        self._heard = {}

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"{self.url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def _order(self) -> Path:
        return self.directory / f"order-{self.number}"

    @property
    def _log(self) -> Path:
        return self.directory / f"throttle-{self.number}.log"
