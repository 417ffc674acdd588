"""envoyproxy/ratelimit with a Redis of its own: built once by ``go install``, kept in the cache.

Its settings are its defaults, but for what sends statistics to a machine that is not there. Its
rules are wide enough for any load that one machine can make, three of them for ``QUESTION``, and
one for what the gateway's Envoy asks.
"""

import contextlib
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from midstage.local import fetch
from midstage.local.kubernetes import compiling, golang
from midstage.local.ports import LOOPBACK, found
from tests.bench.children import await_ready, running
from tests.bench.envoys import APP, CUSTOMER
from tests.bench.redis_server import redis
from tests.bench.rounds import say

NAME: Final = "envoyproxy/ratelimit"
VERSION: Final = "v1.4.1-0.20260122083618-3fb702589d36"
"""The commit, as Go names a version that has no tag; Go proves it by its checksum database."""
DOMAIN: Final = "bench"
QUESTION: Final = (
    (("customer", CUSTOMER),),
    (("app", APP),),
    (("customer", CUSTOMER), ("app", APP)),
)
"""Descriptors, each of which meets one rule."""
_PACKAGE: Final = "github.com/envoyproxy/ratelimit/src/service_cmd"
_LEAST_GO: Final = "1.25.6"
_BINARY: Final = "service_cmd"
_DIGEST: Final = "sha256"
_WITHIN_S: Final = 5.0
_WIDE: Final = "{unit: hour, requests_per_unit: 4000000000}"
_RULES: Final = f"""\
domain: {DOMAIN}
descriptors:
  - key: customer
    rate_limit: {_WIDE}
    descriptors:
      - {{key: app, rate_limit: {_WIDE}}}
  - {{key: app, rate_limit: {_WIDE}}}
"""
_OF_THE_GATEWAY: Final = f"""\
domain: midstage
descriptors:
  - key: customer
    descriptors:
      - key: app
        descriptors:
          - {{key: request_id, rate_limit: {_WIDE}}}
"""


def binary() -> Path:
    """The program, proven by the hash it had when it was built; PlatformError says why not."""
    go = golang.chosen(_LEAST_GO)
    at = fetch.folder(
        f"ratelimit-{VERSION.rpartition('-')[2]}-go{go.version}",
        within=fetch.cache(),
        fill=lambda folder: _fill(folder, go),
        check=_check,
    )
    return at / _BINARY


def rules_in(folder: Path) -> Path:
    """The folder, with the rules for ``QUESTION`` in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.yaml").write_text(_RULES)
    return folder


@contextlib.contextmanager
def ratelimit(directory: Path) -> Iterator[tuple[int, tuple[int, int]]]:
    """Its gRPC port, its process and its Redis's, while they run."""
    (rules_in(directory / "config") / "gateway.yaml").write_text(_OF_THE_GATEWAY)
    program = binary()
    port, grpc_port, debug_port = found(3)
    log = directory / "ratelimit.log"
    with redis(directory) as (redis_port, redis_pid):
        env = {
            **dict.fromkeys(("HOST", "GRPC_HOST", "DEBUG_HOST"), LOOPBACK),
            **{"PORT": str(port), "GRPC_PORT": str(grpc_port), "DEBUG_PORT": str(debug_port)},
            **{"REDIS_SOCKET_TYPE": "tcp", "REDIS_URL": f"{LOOPBACK}:{redis_port}"},
            **{"RUNTIME_ROOT": str(directory), "RUNTIME_WATCH_ROOT": "false"},
            **{"USE_STATSD": "false", "LOG_LEVEL": "error"},
        }
        with running([str(program)], log=log, env=env) as child:
            await_ready(lambda: _unready(port), child=child, log=log)
            yield grpc_port, (child.pid, redis_pid)


def _fill(at: Path, go: golang.Go) -> None:
    program = go.ready(say)
    say(f"building {NAME} {VERSION} with Go {go.version}, once: half a minute on two cores")
    with tempfile.TemporaryDirectory(dir=at.parent, ignore_cleanup_errors=True) as aside:
        stripped = ["-v", "-trimpath", "-ldflags=-s -w"]
        compiling.compiled(
            [str(program), "install", *stripped, f"{_PACKAGE}@{VERSION}"],
            what=NAME,
            within=Path(aside),
            env={**os.environ, **go.env(Path(aside)), "GOBIN": str(at)},
            say=say,
        )
    (at / _DIGEST).write_text(fetch.digest(at / _BINARY))


def _check(at: Path) -> None:
    recorded = at / _DIGEST
    fetch.verify(at, {_BINARY: recorded.read_text() if recorded.is_file() else ""})


def _unready(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/healthcheck", timeout=_WITHIN_S):
            return None
    except OSError as e:
        return f"{NAME} is not ready: {e}"
