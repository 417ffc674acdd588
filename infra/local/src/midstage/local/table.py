"""The processes of the platform: how each is run, with which settings, and when it is ready."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from midstage.gateway.adapters import envoy as proxy
from midstage.gateway.adapters import logfiles
from midstage.local import envoy, kafka, probe
from midstage.local.addresses import Addresses, hpa_names, stats_names
from midstage.local.kubernetes.embedded import Embedded
from midstage.local.layout import Layout
from midstage.local.ports import LOOPBACK
from midstage.local.supervisor import Child

EDGE = "edge-1"
CLUSTER = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instead:
    """What one process is run as, other than usual: for tests that kill it at a named place."""

    command: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Makes the children of one platform; ``speed`` scales the replicas' times alone.

    ``nodes`` is the file of the cluster's nodes, None: those that it ships. ``kubernetes`` stands
    in the local cluster's place.
    """

    layout: Layout
    addresses: Addresses
    ports: Mapping[str, int]
    speed: float
    instead: Mapping[str, Instead]
    nodes: Path | None = None
    kubernetes: Embedded | None = None
    shards: int = 1
    scalers: int = 1

    def kafka(self) -> Child:
        """The broker."""
        command = kafka.prepare(
            self.layout.kafka,
            port=self.ports["kafka"],
            controller_port=self.ports["kafka_controller"],
        )
        unready = partial(kafka.unready, self.addresses.kafka)
        return self._child("kafka", command, unready=unready)

    def envoy(self) -> Child:
        """The proxy; each start begins a request log file of its own."""
        return self._child(
            "envoy",
            proxy.command(binary=envoy.binary(), config_dir=self.layout.edge_config),
            unready=partial(envoy.unready, self.ports["envoy_admin"]),
            before=lambda: _begin(self.layout),
        )

    def gateway(self) -> Child:
        """What configures Envoy and ships its log."""
        return self._service(
            "gateway",
            self.addresses.gateway,
            EDGE=EDGE,
            CONFIG_DIR=str(self.layout.edge_config),
            LOG_DIR=str(self.layout.edge_log),
            STATE_DIR=str(self.layout.edge_state),
            API_KEYS_FILE=str(self.layout.api_keys),
            EDGE_KEYS_FILE=str(self.layout.edge_keys),
            LISTEN_PORT=str(self.ports["listen"]),
            ENVOY_ADMIN_PORT=str(self.ports["envoy_admin"]),
            THROTTLE_ADDRESS=self.addresses.throttle_grpc,
        )

    def throttle(self) -> Child:
        """What says whether a request may pass."""
        return self._service(
            "throttle",
            self.addresses.throttle,
            GRPC_PORT=str(self.ports["throttle_grpc"]),
            EDGE_KEYS_FILE=str(self.layout.edge_keys),
        )

    def stats(self) -> Child:
        """What counts: the first shard, or the only one."""
        return self.stats_shards()[0]

    def stats_shards(self) -> list[Child]:
        """What counts: each shard its part of the partitions."""
        return [
            self._service(
                "stats",
                url,
                child=name,
                LEDGER_FILE=str(self.layout.ledger_of(shard)),
                EDGE_KEYS_FILE=str(self.layout.edge_keys),
                API_KEYS_FILE=str(self.layout.api_keys),
                SHARD=str(shard),
                SHARDS=str(self.shards),
                PEERS=",".join(self.addresses.stats_shards),
            )
            for shard, (name, url) in enumerate(
                zip(stats_names(self.shards), self.addresses.stats_shards, strict=True)
            )
        ]

    def cluster(self) -> Child:
        """The local cluster, in which the replicas run as pods."""
        base = self.addresses.cluster
        options = [
            *("--dir", str(self.layout.cluster)),
            *("--port", base.rpartition(":")[2]),
            *("--token-file", str(self.layout.token)),
            *("--speed", f"{self.speed:g}"),
        ]
        if self.nodes is not None:
            options += ["--nodes", str(self.nodes)]
        command = [sys.executable, "-m", "midstage.local.cluster", *options]
        return self._child("cluster", command, unready=partial(probe.unready, base))

    def control(self) -> Child:
        """What tells the others what the cluster is."""
        return self._service("control", self.addresses.control, **self._clusters("control"))

    def hpa(self) -> Child:
        """What decides how many replicas there are: the first, or the only one."""
        return self.hpas()[0]

    def hpas(self) -> list[Child]:
        """What decides: each for its share of the applications."""
        return [
            self._service("hpa", f"http://{LOOPBACK}:{self.ports[name]}", child=name)
            for name in hpa_names(self.scalers)
        ]

    def deploy(self) -> Child:
        """What makes the cluster run what was asked for and decided."""
        return self._service("deploy", self.addresses.deploy, **self._clusters("deploy"))

    def data(self) -> Child:
        """What keeps the records of requests."""
        return self._service(
            "data",
            self.addresses.data,
            DIRECTORY=str(self.layout.records),
            EDGE_KEYS_FILE=str(self.layout.edge_keys),
        )

    def _clusters(self, service: str) -> dict[str, str]:
        here = self.kubernetes
        where = here.where(service) if here is not None else self.addresses.cluster
        return {
            "CLUSTERS": f"{CLUSTER}={where}",
            "CLUSTER_TOKEN_FILE": str(self.layout.token),
        }

    def _service(self, name: str, base: str, *, child: str = "", **settings: str) -> Child:
        shared = {
            "KAFKA": self.addresses.kafka,
            "PORT": base.rpartition(":")[2],
            "TOKEN_FILE": str(self.layout.token),
        }
        prefix = f"MIDSTAGE_{name.upper()}_"
        return self._child(
            child or name,
            [sys.executable, "-m", f"midstage.{name}.main"],
            env={f"{prefix}{key}": value for key, value in {**shared, **settings}.items()},
            unready=partial(probe.unready, base),
        )

    def _child(
        self,
        name: str,
        command: Sequence[str],
        *,
        unready: Callable[[], str | None],
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Child:
        usual = Child(name=name, command=command, env=env or {}, unready=unready)
        if before is not None:
            usual = replace(usual, before=before)
        other = self.instead.get(name)
        if other is None:
            return usual
        return replace(
            usual, command=other.command or usual.command, env={**usual.env, **other.env}
        )


def _begin(layout: Layout) -> None:
    logfiles.begin(layout.edge_log, datetime.now(UTC))
