"""Inputs of every kind, sane and absurd, for what must hold of each evaluation."""

from datetime import timedelta

from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from midstage.contracts.autoscaling import (
    Behavior,
    By,
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    PodsMetric,
    ResourceMetric,
    ScalingPolicy,
    ScalingRules,
    Select,
    Target,
    TargetType,
)
from midstage.contracts.capacity import (
    CapacityInput,
    CapacitySample,
    Latency,
    Learned,
    Level,
)
from midstage.contracts.cluster import Phase
from midstage.contracts.forecast import Forecast, ForecastInput
from midstage.contracts.policy import Fallback, Knative, Policy, Rate, Targets
from midstage.contracts.scaling import (
    Changed,
    Inputs,
    KnativeInput,
    KnativeMemory,
    LoadInput,
    PodInput,
    Rule,
    SignalInput,
    Wanted,
)
from midstage.contracts.signals import Signal
from midstage.contracts.timed import Timed
from midstage.testkit.clock import NOON

counts = st.integers(1, 1000)
past = st.floats(-5, 4000).map(lambda seconds: NOON - timedelta(seconds=seconds))
recent = st.floats(0, 9).map(lambda seconds: NOON - timedelta(seconds=seconds))
figures = st.one_of(st.floats(0, 1e5), st.floats(allow_nan=True, allow_infinity=True), st.just(0.0))
unset: st.SearchStrategy[UnsetType] = st.just(UNSET)
targets = st.one_of(st.none(), st.floats(0, 1e6, exclude_min=True))
shares = st.one_of(st.none(), st.floats(0, 10, exclude_min=True))
rates = st.builds(
    Rate, pods=st.integers(0, 1000), percent=st.floats(0, 10_000), period_s=st.floats(1, 3600)
)
METRICS = (
    Metric(
        type=MetricType.RESOURCE,
        resource=ResourceMetric(
            name="cpu", target=Target(type=TargetType.UTILIZATION, average_utilization=60)
        ),
    ),
    Metric(
        type=MetricType.RESOURCE,
        resource=ResourceMetric(
            name="memory", target=Target(type=TargetType.AVERAGE_VALUE, average_value="500Mi")
        ),
    ),
    Metric(
        type=MetricType.PODS,
        pods=PodsMetric(
            metric=Identifier(name="sessions"),
            target=Target(type=TargetType.AVERAGE_VALUE, average_value=10),
        ),
    ),
    Metric(
        type=MetricType.EXTERNAL,
        external=ExternalMetric(
            metric=Identifier(name="queue"), target=Target(type=TargetType.VALUE, value="2.5k")
        ),
    ),
    Metric(type=MetricType.OBJECT),
)
rules = st.builds(
    ScalingRules,
    stabilization_window_seconds=st.none() | st.integers(0, 3600),
    select_policy=st.sampled_from(Select),
    policies=st.lists(
        st.builds(
            ScalingPolicy,
            type=st.sampled_from(By),
            value=st.integers(1, 200),
            period_seconds=st.integers(1, 1800),
        ),
        max_size=3,
    ).map(tuple),
    tolerance=st.none() | st.sampled_from(["0.05", "50m", "rubbish"]),
)
behaviors = st.none() | st.builds(Behavior, scale_up=st.none() | rules, scale_down=rules)
TIMED = (
    Timed(name="noon", floor=45, begin="11:00", end="13:00"),
    Timed(name="cap", ceiling=5, begin="00:00", end="00:00", days=()),
    Timed(name="cron", floor=7, cron="*/5 * * * *", duration_s=60.0),
    Timed(name="rubbish", floor=900, cron="every day", duration_s=60.0, zone="Nowhere/At_All"),
)
SIGNALS = (
    Signal(target=30.0),
    Signal(drain_s=60.0, rate=2.0, partitions=7),
    Signal(target=5.0, drain_s=60.0),
)
milliseconds = st.none() | st.floats(0, 3_600_000, exclude_min=True)
latencies = st.builds(
    Latency, p99_ms=milliseconds, ttft_p99_ms=milliseconds, drain_s=st.floats(1, 3600)
)
policies = st.builds(
    lambda bounds, **rest: Policy(min=min(bounds), max=max(bounds), **rest),
    st.tuples(counts, counts),
    targets=st.builds(
        Targets,
        requests_per_s=targets,
        concurrency=targets,
        cpu=shares,
        memory=shares,
        gpu=shares,
        gpu_memory=shares,
    ),
    tolerance=st.floats(0, 1),
    stabilise_up_s=st.floats(0, 3600),
    stabilise_down_s=st.floats(0, 3600),
    up=rates,
    down=rates,
    metrics=st.lists(st.sampled_from(METRICS), max_size=2).map(tuple),
    behavior=behaviors,
    knative=st.none() | st.builds(Knative, target=st.floats(0.1, 1e6)),
    fallback=st.none() | st.builds(Fallback, static=st.none() | counts, at_least=counts),
    timed=st.lists(st.sampled_from(TIMED), max_size=2).map(tuple),
    signals=st.dictionaries(st.just("jobs"), st.sampled_from(SIGNALS), max_size=1),
    forecast=st.none() | st.builds(Forecast, margin=st.floats(0.1, 10)),
    latency=st.none() | latencies,
)
pods = st.lists(
    st.builds(
        PodInput,
        name=st.just("pod"),
        ready=st.booleans(),
        cpu=st.one_of(st.none(), figures),
        cpu_requested=st.one_of(figures, st.just(1.0)),
        cpu_at=st.one_of(st.none(), past, recent),
        phase=st.sampled_from(Phase),
        started_at=st.one_of(st.none(), past),
        ready_at=st.one_of(st.none(), past),
        memory_mb=st.one_of(st.none(), figures),
        memory_requested_mb=st.integers(0, 4096),
        gpu=st.one_of(st.none(), figures),
        gpus_requested=st.integers(0, 8),
        gpu_memory_mb=unset | st.floats(0, 1e5),
        gpu_memory_total_mb=unset | st.floats(0, 1e5) | st.just(40_000.0),
    ),
    max_size=6,
).map(tuple)
loads = st.builds(
    LoadInput,
    until=st.one_of(st.none(), past, recent),
    requests_per_s=st.one_of(st.none(), figures),
    gauged_until=st.one_of(st.none(), past, recent),
    concurrency=st.one_of(st.none(), figures),
)
wants = st.lists(st.builds(Wanted, at=past, replicas=st.integers(0, 10**6)), max_size=4).map(tuple)
changes = st.lists(st.builds(Changed, at=past, before=counts, after=counts), max_size=4).map(tuple)
signals = st.lists(
    st.one_of(
        st.builds(
            SignalInput,
            rule=st.just(Rule.EXTERNAL),
            name=st.just("queue"),
            value=st.none() | figures,
            observed_at=recent | past,
        ),
        st.builds(
            SignalInput,
            rule=st.just(Rule.PODS),
            name=st.just("sessions"),
            by_pod=st.fixed_dictionaries({"pod": figures}),
            observed_at=recent,
        ),
        st.builds(
            SignalInput,
            rule=st.just(Rule.SIGNAL),
            name=st.just("jobs"),
            value=st.none() | figures,
            observed_at=recent | past,
            partitions=st.integers(0, 20),
            arrived_per_s=st.none() | figures,
            growth_per_s=st.none() | st.floats(-1e6, 1e6),
            each_per_s=st.none() | figures,
        ),
    ),
    max_size=2,
).map(tuple)
knatives = st.none() | st.builds(
    KnativeInput,
    until=recent,
    stable=figures,
    panic=figures,
    memory=st.none() | st.builds(KnativeMemory, panic_since=st.none() | past, most=counts),
)
levels = st.lists(
    st.builds(
        Level,
        load=figures | st.floats(0.1, 100),
        p99_ms=figures | st.floats(1, 10_000),
        residence_s=st.floats(0, 100),
        weight=st.floats(0, 50),
    ),
    max_size=4,
).map(lambda found: tuple(sorted(found, key=lambda level: level.load)))
samples = st.lists(
    st.builds(
        CapacitySample,
        until=recent | past,
        seconds=st.integers(0, 15),
        requests=st.integers(0, 10**6),
        concurrency=st.floats(0, 1e6),
        p99_ms=st.none() | figures | st.floats(1, 10_000),
        ttft_p99_ms=st.none() | figures,
    ),
    max_size=4,
).map(tuple)
capacities = unset | st.builds(
    CapacityInput,
    samples=samples,
    in_flight=st.none() | figures,
    growth_per_s=st.none() | st.floats(-1e6, 1e6) | figures,
    learned=st.none() | st.builds(Learned, until=st.none() | past, p99=levels, ttft=levels),
)
any_inputs = st.builds(
    Inputs,
    app=st.just("chat"),
    now=st.just(NOON),
    policy=policies,
    spec_version=st.just(1),
    current=st.integers(0, 1000),
    load=loads,
    pods=pods,
    cluster_at=st.one_of(st.none(), past, recent),
    wants=wants,
    changes=changes,
    initial=st.integers(0, 1000),
    signals=signals,
    knative=knatives,
    cold_start_s=st.none() | st.floats(0, 3600),
    forecast=st.none()
    | st.builds(ForecastInput, carried=st.none() | st.floats(), off=st.sampled_from(["", "no"])),
    capacity=capacities,
)
