"""Every metric of hpa, in a registry of its own; touched by the shell alone."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_QUICK = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
_AGES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 30.0)


class Metrics:
    """What hpa counts and measures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in ``registry``."""
        self.evaluations = Counter(
            "midstage_hpa_evaluations",
            "Evaluations by input: known, some (one rule at least had none), unknown (all).",
            ["input"],
            registry=registry,
        )
        self.decisions = Counter(
            "midstage_hpa_decisions",
            "Changes of a count that this process wrote, by direction: first, up, down, removed.",
            ["direction"],
            registry=registry,
        )
        self.evaluation_seconds = Histogram(
            "midstage_hpa_evaluation_seconds",
            "From folded facts to the evaluation, without writing it.",
            buckets=_QUICK,
            registry=registry,
        )
        self.load_age_seconds = Histogram(
            "midstage_hpa_load_age_seconds",
            "How old the newest used load was when its application was evaluated.",
            buckets=_AGES,
            registry=registry,
        )
        self.undecided = Counter(
            "midstage_hpa_undecided",
            "Changes that the log did not take now; the next evaluation tries again.",
            registry=registry,
        )
        self.unreadable = Counter(
            "midstage_hpa_unreadable",
            "Records of the streams that could not be read and were skipped.",
            registry=registry,
        )
        self.alarms = Counter(
            "midstage_hpa_alarms",
            "Alarms that this process told of: raised, cleared.",
            ["alarm", "what"],
            registry=registry,
        )
        self.peaks = Counter(
            "midstage_hpa_peaks",
            "Records of the past of an application with a forecast that this process wrote.",
            registry=registry,
        )
        self.applications = Gauge(
            "midstage_hpa_applications",
            "Applications that this process decides.",
            registry=registry,
        )
        self.members = Gauge(
            "midstage_hpa_members", "Processes that share the work.", registry=registry
        )
        self.partitions = Gauge(
            "midstage_hpa_partitions_held",
            "Partitions whose applications this process decides.",
            registry=registry,
        )
        self.lag = Gauge(
            "midstage_hpa_lag_records", "Records of the streams not folded yet.", registry=registry
        )
        self.audit_lost = Counter(
            "midstage_hpa_audit_lost",
            "Orders that were answered and are not in the audit.",
            registry=registry,
        )
