"""Where everything of one platform listens: on loopback, the same from run to run while free."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from midstage.local.layout import Layout
from midstage.local.ports import LOOPBACK, found, regained

SINGLE = (
    *("kafka", "kafka_controller", "throttle", "throttle_grpc", "stats", "gateway"),
    *("cluster", "control", "hpa", "deploy", "data", "listen", "envoy_admin"),
)


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Base URLs of the HTTP neighbours, ``host:port`` of Kafka and gRPC, and the key files.

    ``listen`` is where callers come in, ``cluster`` is told what to break; ``kubeconfig`` is there
    where the cluster is a Kubernetes. ``stats`` is the first of ``stats_shards``, any of which can
    be asked.
    """

    kafka: str
    throttle: str
    throttle_grpc: str
    stats: str
    stats_shards: tuple[str, ...] = ()
    gateway: str
    cluster: str
    control: str
    hpa: str
    deploy: str
    data: str
    listen: str
    envoy_admin: str
    token_file: str
    api_keys_file: str
    kubeconfig: str | None = None


def settled(file: Path, names: Sequence[str]) -> dict[str, int]:
    """A port for each name: the one in ``file`` if it can still be had, else a new one; written."""
    known: dict[str, int] = {}
    if file.exists():
        known = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    kept = {name: known[name] for name in names if name in known and regained(known[name])}
    missing = [name for name in names if name not in kept]
    fresh = found(len(missing), taken={*known.values()})
    ports = {**kept, **dict(zip(missing, fresh, strict=True))}
    write(file, msgspec.json.encode({**known, **ports}))
    return ports


def stats_names(shards: int) -> tuple[str, ...]:
    """The names of the processes that count: of the first one as if it were alone."""
    return ("stats", *(f"stats-{shard}" for shard in range(1, shards)))


def hpa_names(scalers: int) -> tuple[str, ...]:
    """The names of the processes that scale: of the first one as if it were alone."""
    return ("hpa", *(f"hpa-{number}" for number in range(1, scalers)))


def addresses(ports: Mapping[str, int], *, layout: Layout, shards: int = 1) -> Addresses:
    """The addresses that these ports give."""
    return Addresses(
        kafka=f"{LOOPBACK}:{ports['kafka']}",
        throttle=_url(ports["throttle"]),
        throttle_grpc=f"{LOOPBACK}:{ports['throttle_grpc']}",
        stats=_url(ports["stats"]),
        stats_shards=tuple(_url(ports[name]) for name in stats_names(shards)),
        gateway=_url(ports["gateway"]),
        cluster=_url(ports["cluster"]),
        control=_url(ports["control"]),
        hpa=_url(ports["hpa"]),
        deploy=_url(ports["deploy"]),
        data=_url(ports["data"]),
        listen=_url(ports["listen"]),
        envoy_admin=_url(ports["envoy_admin"]),
        token_file=str(layout.token),
        api_keys_file=str(layout.api_keys),
    )


def write(file: Path, content: bytes) -> None:
    """Replace a file whole, so that a reader never sees half of it."""
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content + b"\n")
    draft.replace(file)


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
