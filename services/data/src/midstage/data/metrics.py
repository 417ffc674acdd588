"""Every metric of data; touched by the shell only."""

from prometheus_client import CollectorRegistry, Counter

from midstage.data.model import Batch, Part


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare them in ``registry``."""
        self.registry = registry
        self._rows = Counter("midstage_data_rows_total", "Records kept.", registry=registry)
        self._repeated = Counter(
            "midstage_data_repeated_total",
            "Records that came again and were not kept twice.",
            registry=registry,
        )
        self._expired = Counter(
            "midstage_data_expired_total",
            "Records older than the retention, not kept.",
            registry=registry,
        )
        self._commits = Counter(
            "midstage_data_commits_total", "Transactions of the store.", registry=registry
        )
        self._parts = Counter("midstage_data_parts_total", "Parts closed.", registry=registry)
        self._part_bytes = Counter(
            "midstage_data_part_bytes_total", "Bytes of the parts closed.", registry=registry
        )

    def kept(self, batch: Batch) -> None:
        """A batch became durable."""
        self._commits.inc()
        self._rows.inc(len(batch.rows))
        self._repeated.inc(batch.repeated)
        self._expired.inc(batch.expired)

    def closed(self, part: Part) -> None:
        """A part became durable."""
        self._parts.inc()
        self._part_bytes.inc(part.bytes)
