"""How many checks a second throttle answers, beside ``grpc.aio`` that decides nothing.

``h2load`` asks with a prepared body over one connection: it costs a fraction of any server here.
Ours is the real process on the real Kafka with a limit that is never reached; the peer parses the
same question and gives a constant answer, which is all that ``grpc.aio`` itself costs.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from envoy.service.ratelimit.v3 import (  # type: ignore[import-untyped]  # xds-protos has no types
    rls_pb2,
)

from midstage.local.ports import LOOPBACK, found
from midstage.throttle.adapters.envoy import DOMAIN, METHOD, SERVICE
from tests.bench.children import module, running
from tests.bench.envoys import APP, CUSTOMER
from tests.bench.figures import Figure, Measure, figures
from tests.bench.limiter import limiting
from tests.bench.rounds import Contestant, Size, interleaved, say

GROUP: Final = "checks"
OURS, BARE = "midstage throttle", "bare grpc.aio"
STREAMS: Final = (1, 8, 64)
_PER_COMMAND: Final = 40
"""Checks for each command of a size: 60,000 in full."""
_LINE: Final = re.compile(r"time for request: +(\S+) +(\S+) +(\S+)")
_RATE: Final = re.compile(r"finished in \S+, ([\d.]+) req/s")
_DONE: Final = re.compile(r"(\d+) succeeded")
_UNITS: Final = {"us": 1.0, "ms": 1_000.0, "s": 1_000_000.0}

Server = Callable[[], AbstractContextManager[tuple[int, int]]]
"""Its port and its process, while it runs."""


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Rounds of each number of streams; nothing where ``h2load`` is not there."""
    if shutil.which("h2load") is None:
        say(f"{GROUP}: h2load is not on the path (Debian: nghttp2-client): not measured")
        return []
    directory.mkdir(parents=True, exist_ok=True)
    body = directory / "body"
    body.write_bytes(_question())
    count = size.commands * _PER_COMMAND
    ways: dict[str, Server] = {
        OURS: partial(_ours, bootstrap, directory / "ours"),
        BARE: partial(_bare, directory),
    }
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_asked, way, body, count))
            for name, way in ways.items()
        ],
        group=GROUP,
        rounds=min(3, size.rounds),
    )
    counts = dict.fromkeys(ways, f"{count:,} checks")
    measures = [each for streams in STREAMS for each in _measures(streams)]
    return figures(group=GROUP, measures=measures, taken=taken, peers=(BARE,), counts=counts)


def _measures(streams: int) -> tuple[Measure, Measure, Measure]:
    return (
        Measure(name=f"{streams} streams, checks", unit="/s"),
        Measure(name=f"{streams} streams, mean", unit="us", more_is_better=False),
        Measure(name=f"{streams} streams, processor", unit="CPU us/check", more_is_better=False),
    )


def _asked(way: Server, body: Path, count: int) -> Mapping[str, float]:
    measured: dict[str, float] = {}
    with way() as (port, pid):
        _loaded(port, body, count // 10, STREAMS[-1])  # warm
        for streams in STREAMS:
            before = _cpu_s(pid)
            rate, mean = _loaded(port, body, count, streams)
            spent = (_cpu_s(pid) - before) / count * 1e6
            values = zip(_measures(streams), (rate, mean, spent), strict=True)
            measured |= {measure.name: value for measure, value in values}
    return measured


def _loaded(port: int, body: Path, count: int, streams: int) -> tuple[float, float]:
    """Checks a second and the mean time of one in us; RuntimeError where one failed."""
    command = ["h2load", "-n", str(count), "-c", "1", "-m", str(streams), "-d", str(body)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    url = f"http://{LOOPBACK}:{port}/{SERVICE}/{METHOD}"
    told = subprocess.run([*command, *headers, url], capture_output=True, text=True, check=True)
    done, rate, line = (each.search(told.stdout) for each in (_DONE, _RATE, _LINE))
    if done is None or rate is None or line is None or int(done[1]) != count:
        raise RuntimeError(f"h2load: not all were answered: {told.stdout}")
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", line[3]).groups()  # type: ignore[union-attr]  # h2load's own form
    return float(rate[1]), float(number) * _UNITS[unit]


def _question() -> bytes:
    asked = rls_pb2.RateLimitRequest(domain=DOMAIN)
    descriptor = asked.descriptors.add()
    for key, value in (("customer", CUSTOMER), ("app", APP), ("request_id", "7f0c-93ab")):
        descriptor.entries.add(key=key, value=value)
    message = asked.SerializeToString()
    return b"\x00" + len(message).to_bytes(4, "big") + bytes(message)


@contextmanager
def _ours(bootstrap: str, directory: Path) -> Iterator[tuple[int, int]]:
    shutil.rmtree(directory, ignore_errors=True)
    with limiting(bootstrap, directory) as (port, pid):
        yield port, pid


@contextmanager
def _bare(directory: Path) -> Iterator[tuple[int, int]]:
    (port,) = found(1)
    command = module("tests.bench.bare_grpc", str(port))
    with running(command, log=directory / "grpc.log") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield port, child.pid


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system
