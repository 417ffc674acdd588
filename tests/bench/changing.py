"""How long a changed limit takes to hold, from the answer to who changed it, at a real throttle.

Asked over HTTP what a request would be told, again and again, until the new limit stands there; so
a figure has what a question takes in it. Once while nothing else is asked, which is the peer, and
once while one connection with eight streams asks for checks all the time.
"""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from midstage.local.ports import LOOPBACK
from tests.bench import loading
from tests.bench.checking import native
from tests.bench.envoys import APP, CUSTOMER
from tests.bench.figures import Figure, Measure, figures
from tests.bench.limiter import TOKEN, limiting
from tests.bench.rounds import Contestant, Size, interleaved, quantile, say

GROUP: Final = "limit-changes"
QUIET, LOADED = "nothing else asked", "8 streams of checks"
P50, P99 = (
    Measure(name=f"a change holds, {q}", unit="ms", more_is_better=False) for q in ("p50", "p99")
)
_CHANGES: Final = 200
_QUICK: Final = 20
_WITHIN_S: Final = 30.0
_MOST: Final = 1_000_000


def race(*, bootstrap: str, directory: Path, size: Size) -> list[Figure]:
    """Each change is another amount of one limit that all checks meet."""
    if absent := loading.missing("h2load"):
        say(f"{GROUP}: {absent}: nothing is measured")
        return []
    count = _QUICK if size.rounds == 1 else _CHANGES
    directory /= GROUP
    taken = interleaved(
        [
            Contestant(name=name, run=partial(_run, bootstrap, directory / at, streams, count))
            for name, at, streams in ((QUIET, "quiet", 0), (LOADED, "loaded", 8))
        ],
        group=GROUP,
        rounds=1,
    )
    counts = dict.fromkeys((QUIET, LOADED), f"{count} changes")
    return figures(group=GROUP, measures=[P50, P99], taken=taken, peers=(QUIET,), counts=counts)


def _run(bootstrap: str, directory: Path, streams: int, count: int) -> Mapping[str, float]:
    with (
        limiting(bootstrap, directory) as throttle,
        _asked(throttle.port, directory, streams),
        httpx.Client(
            base_url=f"http://{LOOPBACK}:{throttle.http_port}",
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=_WITHIN_S,
        ) as http,
    ):
        took_ms = [_changed(http, _MOST - number) for number in range(count)]
    return {P50.name: quantile(took_ms, 0.5), P99.name: quantile(took_ms, 0.99)}


def _changed(http: httpx.Client, amount: int) -> float:
    bucket = {"kind": "token_bucket", "period_s": 1.0}
    body = {"customer": CUSTOMER, "amount": amount, "algorithm": bucket, "why": "bench"}
    http.put("/v1/limits/of-customer", json=body).raise_for_status()
    answered = time.perf_counter()
    while time.perf_counter() - answered < _WITHIN_S:
        told = http.post("/v1/checks/foreseen", json={"customer": CUSTOMER, "app": APP})
        if amount in [each["quota"] for each in told.raise_for_status().json()["limits"]]:
            return (time.perf_counter() - answered) * 1000
    raise TimeoutError("the change does not hold")


@contextlib.contextmanager
def _asked(port: int, directory: Path, streams: int) -> Iterator[None]:
    """Checks come for as long as the block runs."""
    if not streams:
        yield
        return
    command = loading.command(port, body=native(directory), count=10**9, streams=streams)
    asking = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        asking.terminate()
        asking.wait(_WITHIN_S)
