"""Every metric of control, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Touched by the shell alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in ``registry``."""
        self.facts = Counter(
            "midstage_control_facts",
            "Facts written, by cluster and kind of fact.",
            ["cluster", "fact"],
            registry=registry,
        )
        self.listings = Counter(
            "midstage_control_listings",
            "Whole listings of a cluster: at a start or take-over, and after a broken watch.",
            ["cluster"],
            registry=registry,
        )
        self.written_seconds = Histogram(
            "midstage_control_written_seconds",
            "From the arrival of a change to its fact in the log.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.holding = Gauge(
            "midstage_control_holding",
            "1 where this process holds the cluster's lease, so writes its facts.",
            ["cluster"],
            registry=registry,
        )
        self.reachable = Gauge(
            "midstage_control_reachable",
            "1 where the cluster answers this process.",
            ["cluster"],
            registry=registry,
        )
        self.answered = Counter(
            "midstage_control_late_answered",
            "Facts written again because the holder of an older lease wrote after it was lost.",
            ["cluster"],
            registry=registry,
        )
        self.streams = Gauge(
            "midstage_control_streams", "Answers without end that are open.", registry=registry
        )
