"""Every metric of stats; touched by the shell only."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from midstage.stats.model import Batch, Committed, Doubles
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
        self._refused = Counter(
            "midstage_stats_dead_letters_total",
            "Records that could not be read, by the topic in which they stood.",
            ("topic",),
            registry=registry,
        )
        self._freshness = Freshness()
        registry.register(self._freshness)
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

    def refused(self, topic: str) -> None:
        """A record of this topic became a dead letter."""
        self._refused.labels(topic).inc()

    def audit_lost(self, count: int) -> None:
        """So many facts of the audit are not in the log."""
        self._audit_lost.inc(count)

    def counted(self, batch: Batch, committed: Committed) -> None:
        """A batch became durable."""
        self._batches.inc()
        self._rows.inc(len(batch.rows))
        self._repeated.inc(batch.repeated)
        self._freshness.observe((committed.at - _EPOCH) / _SECOND - batch.rows.time / 1e6)


class Freshness(Collector):
    """A histogram that takes a whole column at once, from one thread."""

    def __init__(self) -> None:
        """Nothing was observed yet."""
        self._counts = np.zeros(len(_FRESHNESS_S) + 1, np.int64)
        self._sum_s = 0.0

    def observe(self, ages_s: Doubles) -> None:
        """Add these ages in seconds."""
        places = np.searchsorted(_FRESHNESS_S, ages_s, side="left")
        self._counts = self._counts + np.bincount(places, minlength=len(self._counts))
        self._sum_s += float(ages_s.sum())

    def collect(self) -> Iterable[Metric]:
        """As prometheus asks for it."""
        bounds = [*map(str, _FRESHNESS_S), "+Inf"]
        found = HistogramMetricFamily(
            "midstage_stats_freshness_seconds",
            "From the end of a request to the commit of its row.",
        )
        counts = np.cumsum(self._counts).tolist()
        found.add_metric([], list(zip(bounds, counts, strict=True)), self._sum_s)
        yield found
