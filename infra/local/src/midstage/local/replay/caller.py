"""``python -m midstage.local.replay.caller``: offers a trace, never waiting for answers.

Open loop: arrivals follow the trace's clock divided by the speed, however slow the answers are.
Every request offered ends as one line in the list, also when the replay is stopped: SIGTERM or
SIGINT end the offering, running requests have a little time, and the rest are listed as they stand.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import uvloop

from midstage.local.replay import trace
from midstage.local.replay.call import Caller
from midstage.local.replay.customers import keys_by_customer
from midstage.local.replay.listing import Listing
from midstage.local.replay.plan import Planned, plan
from midstage.local.replay.progress import Progress
from midstage.local.replay.prompts import Prompts

LINGER_S = 2.0
"""How long running requests may go on after a stop."""


@dataclass(slots=True, kw_only=True)
class Replay:
    """One run of the open loop; ``stop`` ends the offering."""

    caller: Caller
    prompts: Prompts
    listing: Listing
    speed: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progress = field(default_factory=Progress)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _unlisted: list[BaseException] = field(default_factory=list)

    async def run(self, planned: Sequence[Planned]) -> None:
        """Offer everything in its time and return when the last request is listed.

        Raises what kept a request from being listed: a list that is short must not be compared.
        """
        begun = time.monotonic()
        printing = asyncio.create_task(self._print(begun))
        try:
            await self._offer(planned, begun)
            await self._finish()
        finally:
            printing.cancel()
        if self._unlisted:
            raise self._unlisted[0]
        self._say(begun, done=True)

    async def _offer(self, planned: Sequence[Planned], begun: float) -> None:
        for request in planned:
            due = begun + request.at_s / self.speed
            if await self._stopped_before(due):
                return
            late_s = max(0.0, time.monotonic() - due)
            self.progress.sent(late_s=late_s)
            task = asyncio.create_task(self._call(request, late_s))
            self._running.add(task)
            task.add_done_callback(self._ended)

    async def _stopped_before(self, due: float) -> bool:
        wait_s = due - time.monotonic()
        if wait_s <= 0:
            await asyncio.sleep(0)  # behind schedule: let the requests in flight go on too
            return self.stop.is_set()
        try:
            await asyncio.wait_for(self.stop.wait(), wait_s)
        except TimeoutError:
            return False
        return True

    async def _call(self, request: Planned, late_s: float) -> None:
        body = self.prompts.body(
            words=request.prompt_tokens, max_tokens=request.max_tokens, streamed=request.streamed
        )
        row = await self.caller.call(request, body, late_s=late_s)
        self.listing.add(row)
        self.progress.ended(row, at=time.monotonic())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._unlisted.append(error)
            self.stop.set()

    async def _finish(self) -> None:
        stopping = asyncio.create_task(self.stop.wait())
        while self._running and not stopping.done():
            await asyncio.wait({*self._running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=LINGER_S)
        for task in self._running:
            task.cancel()  # the call returns its row as it stands
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _print(self, begun: float) -> None:
        while True:
            self._say(begun, done=False)
            await asyncio.sleep(1.0)

    def _say(self, begun: float, *, done: bool) -> None:
        now = time.monotonic()
        line = self.progress.line(elapsed_s=now - begun, at=now, done=done)
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()


def main(argv: Sequence[str]) -> int:
    """Replay and list; 2 where trace or keys can't be read."""
    options = _parser().parse_args(argv)
    try:
        arrivals = trace.read(options.trace, most=options.requests)
        by_customer = keys_by_customer(options.keys_file)
    except (trace.TraceError, OSError, msgspec.DecodeError) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    planned = tuple(plan(arrivals, run=options.run, seed=options.seed, speed=options.speed))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_replay(options, planned, by_customer))
    return 0


async def _replay(
    options: argparse.Namespace, planned: Sequence[Planned], keys: Mapping[str, str]
) -> None:
    longest = max(request.prompt_tokens for request in planned)
    connector = aiohttp.TCPConnector(limit=0)
    patient = aiohttp.ClientTimeout(total=None)  # the call itself gives up in the end
    with Listing(options.list) as listing:
        async with aiohttp.ClientSession(connector=connector, timeout=patient) as session:
            caller = Caller(
                session=session,
                url=f"{options.base_url.rstrip('/')}/v1/chat/completions",
                app=options.app,
                keys=keys.__getitem__,
            )
            replay = Replay(
                caller=caller,
                prompts=Prompts(longest=longest, seed=options.seed),
                listing=listing,
                speed=options.speed,
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, replay.stop.set)
            await replay.run(planned)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m midstage.local.replay.caller", description=__doc__
    )
    say = parser.add_argument
    say("--base-url", required=True, help="before /v1/chat/completions, such as …/chat")
    say("--keys-file", type=Path, required=True, help="JSON: API key to customer")
    say("--trace", default="conv", help="conv, code or a file")
    say("--speed", type=float, default=trace.DEFAULT_SPEED, help="divides the trace's clock")
    say("--requests", type=int, default=None, help="only the first so many")
    say("--run", required=True, help="begins every request's own number")
    say("--list", type=Path, required=True, help="the caller's own list (JSON lines)")
    say("--app", default="chat", help="the application as the ledger names it")
    say("--seed", type=int, default=7, help="of customers and manners")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
