"""A real throttle process with limits that are never reached: what is measured is the asking."""

import contextlib
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from midstage.contracts.topics import LIMITS, SPENDS
from midstage.eventlog.kafka import KafkaLog
from midstage.eventlog.topics import settings_of
from midstage.local.ports import LOOPBACK, found
from tests.bench.children import await_ready, module, running
from tests.bench.envoys import APP, CUSTOMER

MET: Mapping[str, Mapping[str, str]] = {
    "of-customer": {"customer": CUSTOMER},
    "of-app": {"app": APP},
    "of-both": {"customer": CUSTOMER, "app": APP},
}
"""The limits that a request meets, by name, and whom they are for."""
_MOST = 1_000_000
TOKEN = "bench"
_WITHIN_S = 10.0
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Limiter:
    """A throttle that serves checks on ``port``, and tells of itself on ``http_port``."""

    port: int
    pid: int
    http_port: int

    def counted(self, name: str) -> float:
        """The sum of ``midstage_throttle_<name>_total`` over its labels."""
        url = f"http://{LOOPBACK}:{self.http_port}/metrics"
        with urllib.request.urlopen(url, timeout=_WITHIN_S) as answer:
            told = answer.read().decode()
        metric = rf"^midstage_throttle_{name}_total(?:{{.*}})? (\S+)$"
        return sum(float(value) for value in re.findall(metric, told, re.MULTILINE))


@contextlib.contextmanager
def throttle(bootstrap: str, directory: Path) -> Iterator[int]:
    """The gRPC port of a throttle that is ready, for as long as the block runs."""
    with limiting(bootstrap, directory) as serving:
        yield serving.port


@contextlib.contextmanager
def limiting(
    bootstrap: str, directory: Path, rules: Path | None = None, *, strict: bool = False
) -> Iterator[Limiter]:
    """The same, with what it tells of itself; ``rules`` is a folder of imported ones."""
    log = KafkaLog(bootstrap=bootstrap, client_id="bench")
    for topic in (LIMITS, SPENDS):
        log.create(settings_of(topic))
    port, grpc_port = found(2)
    directory.mkdir(parents=True)
    token, output = directory / "token", directory / "throttle.log"
    token.write_text(TOKEN)
    token.chmod(_PRIVATE)
    env = {
        "MIDSTAGE_THROTTLE_KAFKA": bootstrap,
        "MIDSTAGE_THROTTLE_PORT": str(port),
        "MIDSTAGE_THROTTLE_GRPC_PORT": str(grpc_port),
        "MIDSTAGE_THROTTLE_TOKEN_FILE": str(token),
        **({"MIDSTAGE_THROTTLE_RULES_DIR": str(rules)} if rules else {}),
    }
    with running(module("midstage.throttle.main"), log=output, env=env) as child:
        await_ready(lambda: _unready(port), child=child, log=output)
        for name, who in MET.items():
            _limit(port, name, who, strict=strict)
        yield Limiter(port=grpc_port, pid=child.pid, http_port=port)


def _unready(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=_WITHIN_S):
            return None
    except OSError as e:
        return f"throttle is not ready: {e}"


def _limit(port: int, name: str, who: Mapping[str, str], *, strict: bool) -> None:
    """A limit that is wide enough for any load that one machine can make."""
    bucket = {"kind": "token_bucket", "period_s": 1.0}
    body = {**who, "amount": _MOST, "algorithm": bucket, "strict": strict, "why": "bench"}
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/v1/limits/{name}",
        data=msgspec.json.encode(body),
        headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=_WITHIN_S):
        return
