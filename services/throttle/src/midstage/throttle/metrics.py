"""Every metric of throttle, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from midstage.throttle.model.account import OnFailure

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1)


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
            "Checks that waited too long, by the strictest failure rule of their limits.",
            ["rule"],
            registry=registry,
        )
        self.late = {rule: late.labels(rule=rule.value) for rule in OnFailure}
        self.shadowed = Counter(
            "midstage_throttle_shadowed",
            "Checks that a limit in shadow mode would have refused.",
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "midstage_throttle_answer_seconds",
            "From the arrival of a check (its deadline less the caller's timeout) to its verdict.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.meters = Gauge(
            "midstage_throttle_meters",
            "Meters of a limit and a customer on which something may be counted.",
            registry=registry,
        )
        self.leases = Counter(
            "midstage_throttle_leases",
            "Answers to holders of leases: parts of a customer's limits, lent for a term.",
            registry=registry,
        )
        self.settled = Counter(
            "midstage_throttle_settled",
            "Requests that were charged what they really used.",
            registry=registry,
        )
        self.reservations = Gauge(
            "midstage_throttle_reservations",
            "Requests that hold what they were estimated to use.",
            registry=registry,
        )
        self.limits = Gauge("midstage_throttle_limits", "Limits that stand.", registry=registry)
