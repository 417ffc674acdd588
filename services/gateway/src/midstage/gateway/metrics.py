"""Every metric of gateway, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Touched by the shell alone."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in ``registry``."""
        self.registry = registry
        lines = Counter(
            "midstage_gateway_lines",
            "Lines of the request log: sent to Kafka (again after a restart), acknowledged by it, "
            "unreadable (sent to the dead letters).",
            ["state"],
            registry=registry,
        )
        self.sent = lines.labels(state="sent")
        self.acknowledged = lines.labels(state="acknowledged")
        self.unreadable = lines.labels(state="unreadable")
        self.torn = Counter(
            "midstage_gateway_torn_lines",
            "Last lines without an end, of files whose Envoy died while it wrote.",
            registry=registry,
        )
        self.undelivered = Counter(
            "midstage_gateway_undelivered",
            "Messages that Kafka did not acknowledge; the lines from there were sent again.",
            registry=registry,
        )
        self.bytes_behind = Gauge(
            "midstage_gateway_behind_bytes",
            "Bytes of the request log that Kafka has not acknowledged.",
            registry=registry,
        )
        self.files = Gauge(
            "midstage_gateway_files", "Files of the request log that are there.", registry=registry
        )
        self.beats = Counter(
            "midstage_gateway_heartbeats", "Rounds of heartbeats that were sent.", registry=registry
        )
        self.envoy_unanswered = Counter(
            "midstage_gateway_envoy_unanswered",
            "Questions that Envoy's admin address did not answer.",
            registry=registry,
        )
        self.configured = Counter(
            "midstage_gateway_configured", "Changes of Envoy's configuration.", registry=registry
        )
        self.config_rejected = Gauge(
            "midstage_gateway_config_rejected",
            "1 while the applications or keys file is refused and an older one holds.",
            registry=registry,
        )
        self.apps_refused = Gauge(
            "midstage_gateway_refused_apps",
            "Applications that are not routed as they were asked for; GET /v1/routes says why.",
            registry=registry,
        )
        self.replicas = Gauge(
            "midstage_gateway_replicas",
            "Replicas of all applications, by what Envoy does with them.",
            ["way"],
            registry=registry,
        )
        self.routes_written = Counter(
            "midstage_gateway_routes_written",
            "Facts about the routes and replicas in force that were sent.",
            registry=registry,
        )
        self.routes_undelivered = Counter(
            "midstage_gateway_routes_undelivered",
            "Facts about routes that Kafka did not acknowledge; newer ones were sent.",
            registry=registry,
        )
