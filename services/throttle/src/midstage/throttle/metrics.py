"""Every metric of throttle, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1)


class ByRule:
    """One counter for each failure rule."""

    def __init__(self, counter: Counter) -> None:
        """``counter`` has the label ``rule``."""
        self.open = counter.labels(rule="open")
        self.closed = counter.labels(rule="closed")


class Metrics:
    """Touched by the shell alone; children are made once, because a check has no time for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in ``registry``."""
        checks = Counter(
            "midstage_throttle_checks",
            "Checks by verdict; unlimited: no limit holds; foreign: not a question of midstage's.",
            ["verdict"],
            registry=registry,
        )
        self.admitted = checks.labels(verdict="admitted")
        self.refused = checks.labels(verdict="refused")
        self.unlimited = checks.labels(verdict="unlimited")
        self.foreign = checks.labels(verdict="foreign")
        late = Counter(
            "midstage_throttle_late",
            "Checks that waited too long, answered by the limit's failure rule.",
            ["rule"],
            registry=registry,
        )
        self.late = ByRule(late)
        without_room = Counter(
            "midstage_throttle_without_room",
            "Checks for which the log gave no room in time, answered by the limit's failure rule.",
            ["rule"],
            registry=registry,
        )
        self.without_room = ByRule(without_room)
        self.failure_mode_allowed = Counter(
            "midstage_throttle_failure_mode_allowed",
            "Checks that passed by a failure rule, and not by count.",
            registry=registry,
        )
        self.waited = Counter(
            "midstage_throttle_room_waited",
            "Waits of checks for room in the log.",
            registry=registry,
        )
        self.claims = Counter(
            "midstage_throttle_room_claims",
            "Claims of room that were written.",
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "midstage_throttle_answer_seconds",
            "From the arrival of a check (its deadline less the caller's timeout) to its verdict.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.buckets = Gauge(
            "midstage_throttle_buckets", "Buckets that are not known to be full.", registry=registry
        )
        self.limits = Gauge("midstage_throttle_limits", "Limits that stand.", registry=registry)
