"""Every metric of stats; touched by the shell only."""

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram

from midstage.stats.model import Batch, Committed
from midstage.stats.views.ingest import State

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_FRESHNESS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 600)


class Metrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare them in ``registry``."""
        self.registry = registry
        self._rows = Counter(
            "midstage_stats_rows_total", "Requests that counted.", registry=registry
        )
        self._repeated = Counter(
            "midstage_stats_repeated_total",
            "Requests that came again and did not count.",
            registry=registry,
        )
        self._batches = Counter(
            "midstage_stats_commits_total", "Transactions of the ledger.", registry=registry
        )
        self._freshness = Histogram(
            "midstage_stats_freshness_seconds",
            "From the end of a request to the commit of its row.",
            buckets=_FRESHNESS_S,
            registry=registry,
        )

        self._audit_lost = Counter(
            "midstage_stats_audit_lost_total",
            "Questions that were answered and are not in the audit.",
            registry=registry,
        )

        self._posted = Counter(
            "midstage_stats_posted_total",
            "Events posted to the API by what became of them.",
            ("state",),
            registry=registry,
        )

    def posted(self, state: State, count: int) -> None:
        """So many events of a body became this."""
        self._posted.labels(state.value).inc(count)

    def audit_lost(self, count: int) -> None:
        """So many facts of the audit are not in the log."""
        self._audit_lost.inc(count)

    def counted(self, batch: Batch, committed: Committed) -> None:
        """A batch became durable."""
        self._batches.inc()
        self._rows.inc(len(batch.rows))
        self._repeated.inc(batch.repeated)
        at = (committed.at - _EPOCH) / _SECOND
        for second in (batch.rows.time / 1e6).tolist():
            self._freshness.observe(at - second)
