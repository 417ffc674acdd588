"""Every metric of throttle, in a registry of its own."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from midstage.throttle.decide.imported.counting import Counters
from midstage.throttle.decide.imported.tally import Stats
from midstage.throttle.model.account import OnFailure

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1)


ByRule = Mapping[OnFailure, Counter]


class Metrics:
    """Touched by the shell alone; children are made once, because a check has no time for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register everything in ``registry``."""
        checks = Counter(
            "midstage_throttle_checks",
            "Checks by verdict; unlimited: no limit holds; foreign: of a domain without rules; "
            "malformed: no limit could judge it, so it was answered with an error.",
            ["verdict"],
            registry=registry,
        )
        self.admitted = checks.labels(verdict="admitted")
        self.refused = checks.labels(verdict="refused")
        self.unlimited = checks.labels(verdict="unlimited")
        self.foreign = checks.labels(verdict="foreign")
        self.malformed = checks.labels(verdict="malformed")
        late = Counter(
            "midstage_throttle_late",
            "Checks that waited too long, by the strictest failure rule of their limits.",
            ["rule"],
            registry=registry,
        )
        self.late = {rule: late.labels(rule=rule.value) for rule in OnFailure}
        without_room = Counter(
            "midstage_throttle_without_room",
            "Checks that the log kept waiting for too long, answered by the limits' failure rules.",
            ["rule"],
            registry=registry,
        )
        self.without_room = {rule: without_room.labels(rule=rule.value) for rule in OnFailure}
        self.failure_mode_allowed = Counter(
            "midstage_throttle_failure_mode_allowed",
            "Checks that passed by failure rules, and not by count.",
            registry=registry,
        )
        self.waited = Counter(
            "midstage_throttle_room_waited",
            "Checks that waited for the log: for room, or of strict limits.",
            registry=registry,
        )
        self.claims = Counter(
            "midstage_throttle_room_claims", "Claims of room that were written.", registry=registry
        )
        self.forwarded = Counter(
            "midstage_throttle_forwarded",
            "Questions that the process which counts for their customer was asked.",
            registry=registry,
        )
        self.partitions = Gauge(
            "midstage_throttle_partitions",
            "Partitions of customers for whom this process counts.",
            registry=registry,
        )
        self.takings = Counter(
            "midstage_throttle_takings",
            "Partitions for which this process named a new owner: itself, or another one.",
            registry=registry,
        )
        self.handed_over = Counter(
            "midstage_throttle_handed_over",
            "Partitions that this process left: to another one that asked, or at its end.",
            registry=registry,
        )
        self.shadowed = Counter(
            "midstage_throttle_shadowed",
            "Checks that a limit in shadow mode would have refused.",
            registry=registry,
        )
        self.answer_seconds = Durations(
            "midstage_throttle_answer_seconds",
            "From the arrival of a check (its deadline less the caller's timeout) to its verdict; "
            "of one that another process asks for, a quarter of its time more.",
            registry=registry,
        )
        self.strict_seconds = Histogram(
            "midstage_throttle_strict_seconds",
            "From what a check took of strict limits to when the log had it.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.unanswered = Counter(
            "midstage_throttle_unanswered",
            "Requests that a lost owner may not have answered and whose ends were found.",
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
        self.parts = Counter(
            "midstage_throttle_parts",
            "Parts of limits over all customers that were lent to other throttles.",
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


class Durations:
    """A histogram of one thread, for each check: the library's takes locks, four times as long."""

    def __init__(self, name: str, help_: str, *, registry: CollectorRegistry) -> None:
        """Nothing is observed yet."""
        self._name, self._help = name, help_
        self._counts = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterable[Metric]:
        """For whoever asks for metrics."""
        bounds = (*map(str, _SECONDS), "+Inf")
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._help, buckets=buckets, sum_value=self._sum)


class RuleMetrics:
    """Of imported rules: their files, the questions, and the hits of each rule."""

    def __init__(self, registry: CollectorRegistry, counters: Counters) -> None:
        """Register everything in ``registry``; hits are read from ``counters`` when asked for."""
        checks = Counter(
            "midstage_throttle_rule_checks",
            "Questions by verdict; unknown: of a domain without rules; failed: an error.",
            ["verdict"],
            registry=registry,
        )
        self._admitted = checks.labels(verdict="admitted")
        self._refused = checks.labels(verdict="refused")
        self._unknown = checks.labels(verdict="unknown")
        self.failed = checks.labels(verdict="failed")
        loads = Counter(
            "midstage_throttle_rule_loads",
            "Contents of the folder of rules that were taken, and that were refused.",
            ["result"],
            registry=registry,
        )
        self._taken = loads.labels(result="taken")
        self._not_taken = loads.labels(result="refused")
        self._stale = Gauge(
            "midstage_throttle_rules_stale",
            "1 while what stands in the folder of rules is refused, and not in force.",
            registry=registry,
        )
        live = Gauge(
            "midstage_throttle_rule_counters", "Counters of imported rules.", registry=registry
        )
        live.set_function(lambda: len(counters))
        registry.register(_Hits(counters))

    def answered(self, *, over: bool, known: bool) -> None:
        """A question had its answer."""
        if not known:
            self._unknown.inc()
        else:
            (self._refused if over else self._admitted).inc()

    def loaded(self, taken: bool) -> None:  # noqa: FBT001  a finding, not a flag
        """What stands in the folder was taken, or not."""
        (self._taken if taken else self._not_taken).inc()
        self._stale.set(0 if taken else 1)


_HITS: tuple[tuple[str, str, Callable[[Stats], int]], ...] = (
    ("hits", "Hits of a rule.", lambda stats: stats.total_hits),
    ("over_limit", "Hits above a rule's limit.", lambda stats: stats.over_limit),
    ("near_limit", "Hits near a rule's limit.", lambda stats: stats.near_limit),
    ("within_limit", "Hits within a rule's limit.", lambda stats: stats.within_limit),
    ("shadow_mode", "Hits above the limit of a rule in shadow.", lambda stats: stats.shadow_mode),
)


class _Hits:
    """Hits by domain and name of the rule, which has values in it where the rule says so."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        for what, help_, count in _HITS:
            family = CounterMetricFamily(
                f"midstage_throttle_rule_{what}", help_, labels=["domain", "key"]
            )
            for (domain, key), stats in self._counters.stats:
                family.add_metric([domain, key], count(stats))
            yield family
        yield CounterMetricFamily(
            "midstage_throttle_rule_global_shadow",
            "Refusals that the global shadow mode let pass.",
            value=self._counters.global_shadow_mode,
        )
