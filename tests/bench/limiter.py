"""A real throttle process with one limit that is never reached: what is measured is the asking."""

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from midstage.contracts.topics import LIMITS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.local.ports import LOOPBACK, found
from tests.bench.children import await_ready, module, running
from tests.bench.envoys import APP, CUSTOMER

_MOST = 1_000_000
_TOKEN = "bench"
_WITHIN_S = 10.0
_PRIVATE = 0o600


@contextlib.contextmanager
def throttle(bootstrap: str, directory: Path) -> Iterator[int]:
    """The gRPC port of a throttle that is ready, for as long as the block runs."""
    with limiting(bootstrap, directory) as (port, _pid):
        yield port


@contextlib.contextmanager
def limiting(bootstrap: str, directory: Path) -> Iterator[tuple[int, int]]:
    """The same with its process's number."""
    KafkaLog(bootstrap=bootstrap, client_id="bench").create(settings_of(LIMITS))
    port, grpc_port = found(2)
    directory.mkdir(parents=True)
    token, log = directory / "token", directory / "throttle.log"
    token.write_text(_TOKEN)
    token.chmod(_PRIVATE)
    env = {
        "MIDSTAGE_THROTTLE_KAFKA": bootstrap,
        "MIDSTAGE_THROTTLE_PORT": str(port),
        "MIDSTAGE_THROTTLE_GRPC_PORT": str(grpc_port),
        "MIDSTAGE_THROTTLE_TOKEN_FILE": str(token),
    }
    with running(module("midstage.throttle.main"), log=log, env=env) as child:
        await_ready(lambda: _unready(port), child=child, log=log)
        _limit(port)
        yield grpc_port, child.pid


def _unready(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=_WITHIN_S):
            return None
    except OSError as e:
        return f"throttle is not ready: {e}"


def _limit(port: int) -> None:
    """One limit for the customer, wide enough for any load that one machine can make."""
    bucket = {"kind": "token_bucket", "period_s": 1.0}
    body = {"customer": CUSTOMER, "app": APP, "amount": _MOST, "algorithm": bucket}
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/v1/limits/bench",
        data=msgspec.json.encode({**body, "why": "bench"}),
        headers={"authorization": f"Bearer {_TOKEN}", "content-type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=_WITHIN_S):
        return
