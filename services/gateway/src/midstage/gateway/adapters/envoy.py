"""Envoy as its neighbours reach it: the command line that starts it, and its admin address.

Envoy is the supervisor's child, never gateway's: a gateway that starts again finds it running.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import msgspec

from midstage.contracts.errors import UnavailableError
from midstage.gateway.model.shipping import FLUSH_EVERY_MS, Load
from midstage.gateway.views.bootstrap import BOOTSTRAP

_GAUGE = re.compile(r"cluster\.(.+)\.(upstream_rq_active|upstream_rq_pending_active)")


def command(
    *, binary: Path | str, config_dir: Path, concurrency: int = 2, log_level: str = "warning"
) -> list[str]:
    """How to start Envoy on gateway's files.

    Call ``logfiles.begin`` before each start. The request log's flush interval exists on the
    command line only; ``SourceBeat.complete_until`` relies on it. ``binary`` is the program itself.
    """
    return [
        str(binary),
        "-c",
        str(config_dir / BOOTSTRAP),
        "--concurrency",
        str(concurrency),
        "--file-flush-interval-msec",
        str(FLUSH_EVERY_MS),
        "--disable-hot-restart",
        "--log-level",
        log_level,
        "--component-log-level",
        "misc:error",  # without it: one line for each message type that is marked as new
    ]


class _Stat(msgspec.Struct):
    name: str = ""
    value: int = 0


class _Stats(msgspec.Struct):
    stats: list[_Stat] = []


class Admin:
    """Envoy's admin interface."""

    def __init__(self, address: str, *, within_s: float = 1.0) -> None:
        """Ask at ``address`` (``http://host:port``), each time waiting ``within_s`` at most."""
        self._http = httpx.Client(base_url=address, timeout=within_s, trust_env=False)

    def loads(self) -> Mapping[str, Load]:
        """What each cluster has in flight and pending; UnavailableError where Envoy can't say."""
        try:
            answer = self._http.get(
                "/stats",
                params={"format": "json", "filter": f"^{_GAUGE.pattern}$"},
            ).raise_for_status()
            stats = msgspec.json.decode(answer.content, type=_Stats).stats
        except (httpx.HTTPError, msgspec.DecodeError) as e:
            raise UnavailableError(f"Envoy's admin address does not answer: {e}") from e
        return _loads(stats)

    def reopen_logs(self) -> None:
        """Make Envoy open its request log again; UnavailableError where it can't be told."""
        try:
            self._http.post("/reopen_logs").raise_for_status()
        except httpx.HTTPError as e:
            raise UnavailableError(f"Envoy can't be told to open its log again: {e}") from e

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


def _loads(stats: Sequence[_Stat]) -> Mapping[str, Load]:
    values: dict[str, dict[str, int]] = {}
    for stat in stats:
        match = _GAUGE.fullmatch(stat.name)
        if match:
            values.setdefault(match[1], {})[match[2]] = stat.value
    return {
        cluster: Load(
            in_flight=found.get("upstream_rq_active", 0),
            pending=found.get("upstream_rq_pending_active", 0),
        )
        for cluster, found in values.items()
    }
