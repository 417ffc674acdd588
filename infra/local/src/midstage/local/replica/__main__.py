"""``python -m midstage.local.replica``: one replica on one port of loopback until SIGTERM.

SIGTERM: no new connections, running answers may finish within the grace, then the end with 0.
The cold start counts from here: until it is over, ``/readyz`` and completions answer 503.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import uvicorn
import uvloop

from midstage.local.replica.server import Replica, application
from midstage.local.replica.service_time import ServiceTime
from midstage.local.replica.slots import Slots

_VARIABLES: Mapping[str, str] = {
    "--speed": "MIDSTAGE_SPEED",
    "--slots": "MIDSTAGE_REPLICA_SLOTS",
    "--queue": "MIDSTAGE_REPLICA_QUEUE",
    "--cold-start-s": "MIDSTAGE_REPLICA_COLD_START_S",
    "--grace-s": "MIDSTAGE_REPLICA_GRACE_S",
}
"""An option that is not given has the value of its variable."""


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT, then 0; 1 where the port can't be had."""
    options = _parser(os.environ).parse_args(argv)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options))


async def _serve(options: argparse.Namespace) -> int:
    service = ServiceTime(speed=options.speed)
    warm_at = time.monotonic() + service.scaled(options.cold_start_s)
    server = uvicorn.Server(
        uvicorn.Config(
            application(
                Replica(
                    service=service,
                    slots=Slots(slots=options.slots, queue=options.queue),
                    unready=lambda: _unready(warm_at, stopping=server.should_exit),
                )
            ),
            host=options.host,
            port=options.port,
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=options.grace_s,
        )
    )
    _end_with_zero(signal.SIGTERM, signal.SIGINT)
    await server.serve()
    return 0 if server.started else 1


def _unready(warm_at: float, *, stopping: bool) -> str | None:
    if stopping:
        return "it is stopping"
    left = warm_at - time.monotonic()
    return f"its cold start takes {left:.1f} s more" if left > 0 else None


def _end_with_zero(*signals: signal.Signals) -> None:
    # uvicorn raises a signal again after its orderly stop; what was the default would kill us then
    for number in signals:
        signal.signal(number, lambda *_: None)


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m midstage.local.replica", description=__doc__)
    say = parser.add_argument
    say("--host", default="127.0.0.1")
    say("--port", type=int, required=True)

    def option(name: str, kind: Callable[[str], float], usual: str, text: str) -> None:
        variable = _VARIABLES[name]
        default = env.get(variable) or usual  # a text, so that it is checked as an option is
        say(name, type=kind, default=default, help=f"{text} ({variable}, or {usual})")

    option("--speed", float, "1", "divides service times and the cold start")
    option("--slots", _at_least(1), "16", "generations at once")
    option("--queue", _at_least(0), "64", "requests that may wait for a slot")
    option("--cold-start-s", float, "2", "before /readyz says 200")
    option("--grace-s", _at_least(0), "5", "for running answers after SIGTERM")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is below {least}")
        return number

    return whole


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
