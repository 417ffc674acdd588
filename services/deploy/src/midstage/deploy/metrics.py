"""Every metric of deploy, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Touched by the shell alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in ``registry``."""
        self.writes = Counter(
            "midstage_deploy_writes",
            "Writes to the cluster by kind, since this process began.",
            ["kind"],
            registry=registry,
        )
        self.conflicts = Counter(
            "midstage_deploy_conflicts",
            "Writes refused because the object had changed, since this process began.",
            registry=registry,
        )
        self.refusals = Counter(
            "midstage_deploy_refusals",
            "Writes that the cluster refused for what they say, since this process began.",
            registry=registry,
        )
        self.corrections = Counter(
            "midstage_deploy_corrections",
            "Fields set by others that were set back, workload by workload, since this process "
            "began.",
            registry=registry,
        )
        self.rollouts = Counter(
            "midstage_deploy_rollouts",
            "Rollouts that came to a verdict here, since this process began.",
            ["verdict"],
            registry=registry,
        )
        self.audit_lost = Counter(
            "midstage_deploy_audit_lost",
            "Changes of policies that were answered and are not in the audit.",
            registry=registry,
        )
        self.apps = Gauge("midstage_deploy_apps", "Applications that stand.", registry=registry)
        self.turn_seconds = Histogram(
            "midstage_deploy_turn_seconds",
            "One turn over all applications, writes included.",
            buckets=_SECONDS,
            registry=registry,
        )
