"""Envoy as its neighbours reach it: the command line that starts it, and its admin address.

Envoy is the supervisor's child, never gateway's: a gateway that starts again finds it running.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import msgspec

from midstage.contracts.errors import UnavailableError
from midstage.gateway.model.apps import Endpoint, Place
from midstage.gateway.model.inforce import Host, Seen
from midstage.gateway.model.shipping import FLUSH_EVERY_MS, Load
from midstage.gateway.views.bootstrap import BOOTSTRAP
from midstage.gateway.views.routes import ROUTES_NAME

_SILENT = "Envoy's admin address does not answer"
_ROUTES = f"http.callers.rds.{ROUTES_NAME}.version_text"
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


class _SocketAddress(msgspec.Struct):
    address: str
    port_value: int


class _Address(msgspec.Struct):
    socket_address: _SocketAddress


class _Health(msgspec.Struct, frozen=True):
    eds_health_status: str = ""
    failed_active_health_check: bool = False
    pending_active_hc: bool = False


class _Host(msgspec.Struct):
    address: _Address
    stats: list[_Stat] = []
    health_status: _Health = _Health()


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Host] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


class _Text(msgspec.Struct):
    value: str = ""


class _Texts(msgspec.Struct):
    stats: list[_Text] = []


_clusters = msgspec.json.Decoder(_Clusters, strict=False)  # its numbers are texts


class Admin:
    """Envoy's admin interface."""

    def __init__(self, address: str, *, within_s: float = 1.0) -> None:
        """Ask at ``address`` (``http://host:port``), each time waiting ``within_s`` at most."""
        self._http = httpx.Client(  # without TLS: to read the certificates takes 0.1 s
            base_url=address, timeout=within_s, trust_env=False, verify=False
        )

    def loads(self) -> Mapping[str, Load]:
        """What each cluster has in flight and pending; UnavailableError where Envoy can't say."""
        try:
            content = self._get("/stats", format="json", filter=f"^{_GAUGE.pattern}$")
            stats = msgspec.json.decode(content, type=_Stats).stats
        except (httpx.HTTPError, msgspec.DecodeError) as e:
            raise UnavailableError(f"{_SILENT}: {e}") from e
        return _loads(stats)

    def seen(self) -> Seen:
        """Its hosts, and then which routes it has; UnavailableError where Envoy can't say."""
        try:
            clusters = _clusters.decode(self._get("/clusters", format="json")).cluster_statuses
            texts = self._get("/stats", format="json", filter=f"^{re.escape(_ROUTES)}$")
            routes = msgspec.json.decode(texts, type=_Texts).stats
        except (httpx.HTTPError, msgspec.DecodeError) as e:
            raise UnavailableError(f"{_SILENT}: {e}") from e
        return Seen(routes=routes[0].value if routes else "", hosts=_hosts(clusters))

    def reopen_logs(self) -> None:
        """Make Envoy open its request log again; UnavailableError where it can't be told."""
        try:
            self._http.post("/reopen_logs").raise_for_status()
        except httpx.HTTPError as e:
            raise UnavailableError(f"Envoy can't be told to open its log again: {e}") from e

    def _get(self, path: str, **asked: str) -> bytes:
        return self._http.get(path, params=asked).raise_for_status().content

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


def _hosts(clusters: Sequence[_Cluster]) -> dict[Place, Host]:
    found: dict[Place, Host] = {}
    for cluster in clusters:
        for host in cluster.host_statuses:
            at = host.address.socket_address
            values = {stat.name: stat.value for stat in host.stats}
            place = cluster.name, Endpoint(host=at.address, port=at.port_value)
            found[place] = Host(
                draining=host.health_status.eds_health_status == "DRAINING",
                failing=host.health_status.failed_active_health_check,
                checking=host.health_status.pending_active_hc,
                active=values.get("rq_active", 0),
                waiting=values.get("rq_pending_active", 0),
                begun=values.get("rq_total", 0),
            )
    return found


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
