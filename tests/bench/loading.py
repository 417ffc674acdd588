"""The load generators of ``checking``: programs in C that cost a fraction of any server here.

``h2load`` asks over one connection, ``redis-benchmark`` over one for each question at once, for
Redis serves a connection's questions one after the other. Both wait for an answer before the next
question of the same stream: a closed loop.
"""

import csv
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from midstage.local.ports import LOOPBACK
from midstage.throttle.adapters.envoy import METHOD, SERVICE
from tests.bench.rounds import quantile

PACKAGES: Final = {
    "h2load": "nghttp2-client",
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
}
"""Debian's package of each program that is not fetched here."""
_HEADERS: Final = ("content-type: application/grpc", "te: trailers", "grpc-timeout: 10S")
"""As Envoy's; its deadline is so far away that nobody is late."""
_RATE: Final = re.compile(r"finished in \S+, ([\d.]+) req/s")
_DONE: Final = re.compile(r"(\d+) succeeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server did: answers a second, and how long one took."""

    rate: float
    p50_us: float
    p99_us: float


def missing(*programs: str) -> str | None:
    """What has to be installed, in words; None where all are there."""
    absent = [PACKAGES[each] for each in programs if shutil.which(each) is None]
    return f"missing here: {', '.join(absent)} (apt-get install)" if absent else None


def checks(port: int, *, body: Path, count: int, streams: int) -> Load:
    """Ask ``count`` times by ``h2load``; RuntimeError where one call failed."""
    log = body.with_suffix(".log")
    log.unlink(missing_ok=True)
    told = _ran([*command(port, body=body, count=count, streams=streams), f"--log-file={log}"])
    done, rate = (each.search(told) for each in (_DONE, _RATE))
    if done is None or rate is None or int(done[1]) != count:
        raise RuntimeError(f"h2load: not all were answered: {told}")
    took_us = [float(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines()]
    return Load(rate=float(rate[1]), p50_us=quantile(took_us, 0.5), p99_us=quantile(took_us, 0.99))


def command(port: int, *, body: Path, count: int, streams: int) -> list[str]:
    """What asks so often."""
    given = ["h2load", "-n", str(count), "-c", "1", "-m", str(streams), "-d", str(body)]
    headers = [part for each in _HEADERS for part in ("-H", each)]
    return [*given, *headers, f"http://{LOOPBACK}:{port}/{SERVICE}/{METHOD}"]


def increments(port: int, *, count: int, streams: int) -> Load:
    """Increment one key ``count`` times by ``redis-benchmark``."""
    command = ["redis-benchmark", "-h", LOOPBACK, "-p", str(port), "-c", str(streams)]
    told = _ran([*command, "-n", str(count), "--csv", "INCR", "bench"])
    [row] = csv.DictReader(told.splitlines())
    return Load(
        rate=float(row["rps"]),
        p50_us=float(row["p50_latency_ms"]) * 1000,
        p99_us=float(row["p99_latency_ms"]) * 1000,
    )


def _ran(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
