"""Where one embedded platform keeps its things: one folder, the same names each time."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files and folders under ``root``."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held with flock by the one process that runs this platform; holds its pid."""
        return self.root / "lock"

    @property
    def addresses(self) -> Path:
        """Where everything listens, as JSON; there while the platform serves."""
        return self.root / "platform.json"

    @property
    def ports(self) -> Path:
        """The ports by name, taken again by the next run where they are still free."""
        return self.root / "ports.json"

    @property
    def token(self) -> Path:
        """The bearer token of every changing route (0600)."""
        return self.root / "token"

    @property
    def edge_keys(self) -> Path:
        """Each edge's signing key in hex (0600)."""
        return self.root / "edge-keys.json"

    @property
    def api_keys(self) -> Path:
        """API key to customer (0600)."""
        return self.root / "api-keys.json"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def kafka(self) -> Path:
        """The broker's settings and data."""
        return self.root / "kafka"

    @property
    def edge_config(self) -> Path:
        """The files that Envoy watches."""
        return self.root / "edge" / "config"

    @property
    def edge_log(self) -> Path:
        """Envoy's request log files."""
        return self.root / "edge" / "log"

    @property
    def edge_state(self) -> Path:
        """How far the shipper is in each file."""
        return self.root / "edge" / "state"

    @property
    def ledger(self) -> Path:
        """The usage store."""
        return self.ledger_of(0)

    def ledger_of(self, shard: int) -> Path:
        """The usage store of one of several shards."""
        return self.root / "ledger" / (f"usage-{shard}.duckdb" if shard else "usage.duckdb")

    @property
    def cluster(self) -> Path:
        """What the local cluster was told to run, and its pods' logs."""
        return self.root / "cluster"

    @property
    def kubernetes(self) -> Path:
        """What a Kubernetes in the local cluster's place keeps: keys, objects, its pods' logs."""
        return self.root / "kubernetes"

    @property
    def records(self) -> Path:
        """The records of requests."""
        return self.root / "records"

    @property
    def replay(self) -> Path:
        """The callers' own lists, one for each replay."""
        return self.root / "replay"

    def make(self) -> None:
        """Make the folders that are not there yet; the root is for its owner alone."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = (self.logs, self.kafka, self.edge_config, self.edge_log, self.edge_state)
        for folder in (*folders, self.ledger.parent, self.cluster, self.records, self.replay):
            folder.mkdir(parents=True, exist_ok=True)
