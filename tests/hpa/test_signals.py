"""Queues and lags: what each replica should have, how soon it is done, and what is not known."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.autoscaling import (
    ExternalMetric,
    Identifier,
    Metric,
    MetricType,
    PodsMetric,
    Selector,
    Target,
    TargetType,
)
from midstage.contracts.policy import Policy, Targets
from midstage.contracts.scaling import Inputs, Proposal, Rule, SignalInput
from midstage.contracts.signals import PartitionLag, Signal, SignalKind, SignalObserved, series_of
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.rules.signals import signals
from midstage.hpa.views.signals import MOST_OF_APP, Signals
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load, pods, policy, why

DRAIN = Signal(drain_s=60, rate=5)
GROUP = Signal(drain_s=60, rate=5, group="ocr", topics=("pages",))


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def of(said: Signal, value: float | None = None, *, age_s: float = 1, **rest: Any) -> Inputs:
    """A policy of one signal, ``jobs``, with a value where one is given."""
    moved = {name: rest.pop(name) for name in list(rest) if name in SignalInput.__struct_fields__}
    seen = SignalInput(
        **{
            "rule": Rule.SIGNAL,
            "name": "jobs",
            "value": value,
            "observed_at": ago(age_s),
            "series": "ocr pages" if said.group else "",
            **moved,
        }
    )
    known = () if value is None else (seen,)
    bounds = rest.pop("max", 100)
    mine = policy(targets=Targets(), signals={"jobs": said}, max=bounds)
    return inputs(policy=mine, signals=known, **rest)


def proposed(given_: Inputs, current: int = 4) -> Proposal:
    [found] = signals(given_, current)
    return found


@pytest.mark.parametrize(
    ("said", "value", "more", "want", "reason"),
    [
        (Signal(target=30), 200, {}, 7, "200 wait, 30 each"),
        (Signal(target=30), 125, {}, 4, "125 wait, 30 each"),
        (Signal(target=30), 0, {}, 0, "0 wait, 30 each"),
        (
            DRAIN,
            1200,
            {"arrived_per_s": 10.0},
            6,
            "1200 wait, 10/s come, 5/s each, done in 60 s",
        ),
        (GROUP, 0, {"arrived_per_s": 40.0}, 8, "0 wait, 40/s come, 5/s each, done in 60 s"),
        (
            GROUP,
            6000,
            {"arrived_per_s": 0.0, "partitions": 12},
            12,
            "6000 wait, 0/s come, 5/s each, done in 60 s; 12 partitions have work for no more",
        ),
        (
            Signal(target=1, partitions=3),
            50,
            {},
            3,
            "50 wait, 1 each; 3 partitions have work for no more",
        ),
        (
            msgspec.structs.replace(GROUP, partitions=0),
            6000,
            {"arrived_per_s": 0.0, "partitions": 12},
            20,
            "6000 wait, 0/s come, 5/s each, done in 60 s",
        ),
        (
            Signal(target=100, drain_s=60, rate=5),
            1200,
            {"arrived_per_s": 0.0},
            12,
            "1200 wait, 100 each",
        ),
    ],
)
def test_so_many_replicas(
    said: Signal, value: float, more: dict[str, Any], want: int, reason: str
) -> None:
    found = proposed(of(said, value, **more))
    assert (found.want, found.reason) == (want, reason)


def test_what_comes_into_a_queue_is_what_is_done_and_what_waits_more() -> None:
    busy = of(DRAIN, 600, growth_per_s=10.0, load=load(requests_per_s=20))
    assert proposed(busy).reason == "600 wait, 30/s come, 5/s each, done in 60 s"
    assert proposed(busy).want == 8
    ebbing = of(DRAIN, 600, growth_per_s=-30.0, load=load(requests_per_s=20))
    assert proposed(ebbing).reason == "600 wait, 0/s come, 5/s each, done in 60 s"
    old = of(DRAIN, 600, growth_per_s=10.0, load=load(requests_per_s=20, age_s=11))
    assert proposed(old).reason.endswith("not fewer while what comes in is not known")


def test_where_it_is_not_known_what_comes_in_the_count_may_only_grow() -> None:
    assert proposed(of(DRAIN, 0)).want == 4
    assert proposed(of(DRAIN, 0)).reason.endswith("not fewer while what comes in is not known")
    assert proposed(of(DRAIN, 3060)).want == 11
    # the requests of an application say nothing of what comes into a topic
    assert proposed(of(GROUP, 0, load=load(requests_per_s=1))).want == 4


def test_what_one_replica_does_is_stated_or_seen_of_consumers_or_of_requests() -> None:
    said = Signal(drain_s=60)
    stated = of(DRAIN, 600, each_per_s=2.0, arrived_per_s=0.0)
    seen = of(said, 600, each_per_s=2.0, arrived_per_s=0.0)
    of_requests = of(said, 600, arrived_per_s=0.0, load=load(requests_per_s=40), pods=pods(4))
    assert [proposed(each).target for each in (stated, seen, of_requests)] == [5, 2, 10]
    just = of(said, 40, arrived_per_s=0.0, load=load(requests_per_s=40), pods=pods(4))
    assert proposed(just).target == 10
    idle = of(said, 30, arrived_per_s=0.0, load=load(requests_per_s=40), pods=pods(4))
    assert proposed(idle).want is None
    assert "was not seen yet" in proposed(idle).reason
    both = of(Signal(target=10, drain_s=60), 10)
    assert (proposed(both).want, proposed(of(Signal(target=10, drain_s=60), 90)).want) == (4, 9)


@pytest.mark.parametrize(
    ("blind", "reason"),
    [
        (of(DRAIN), "nobody says it"),
        (of(DRAIN, 10, age_s=61), "it was seen 61 s ago"),
        (of(DRAIN, float("nan")), "its value is not known"),
        (of(DRAIN, -1), "its value is not known"),
        (of(GROUP, 10, series="ocr other"), "nobody says it"),
        (of(Signal(), 10), "it has neither a target nor a drain time"),
    ],
)
def test_unknown_is_not_zero(blind: Inputs, reason: str) -> None:
    assert (proposed(blind).want, proposed(blind).reason) == (None, reason)
    assert evaluate(blind).replicas == 4


def test_starting_replicas_are_coming_capacity_and_none_is_taken_while_it_is_too_much() -> None:
    full = of(Signal(target=30), 200, current=7, pods=pods(2, starting=5))
    assert evaluate(full).replicas == 7
    less = of(Signal(target=30), 100, current=7, pods=pods(2, starting=5))
    assert evaluate(less).replicas == 7
    assert why(evaluate(less), "pending") == "not lowered while the ready ones are above their jobs"
    assert evaluate(of(Signal(target=30), 100, current=7, pods=pods(7))).replicas == 4


# what is folded


def queue(value: float | None, age_s: float, **more: Any) -> SignalObserved:
    return SignalObserved(
        **{
            "app": "chat",
            "kind": SignalKind.QUEUE,
            "name": "jobs",
            "source": "api",
            "observed_at": ago(age_s),
            "value": value,
            **more,
        }
    )


def lag(age_s: float, *, end: int, done: int, consumers: int | None = 2) -> SignalObserved:
    halves = [
        PartitionLag(
            topic="pages",
            number=number,
            committed=done // 2,
            beginning=0,
            end=end // 2,
            lag=(end - done) // 2,
        )
        for number in (0, 1)
    ]
    return queue(
        end - done,
        age_s,
        kind=SignalKind.LAG,
        series="ocr pages",
        source="kafka",
        consumers=consumers,
        partitions=tuple(halves),
    )


def folded(facts: Sequence[SignalObserved], said: Policy | None = None) -> tuple[SignalInput, ...]:
    view = Signals()
    for fact in facts:
        view.apply(fact, NOON)
    return view.of("chat", said or policy(signals={"jobs": Signal(target=1)}), NOON)


def test_the_newest_valid_value_counts() -> None:
    broken = [queue(float("nan"), 1), queue(-1, 1), queue(None, 1), queue(7, -120)]
    [found] = folded([queue(3, 9), queue(5, 2), queue(4, 5), queue(9, 700), *broken])
    assert (found.value, found.observed_at, found.source) == (5, ago(2), "api")
    assert folded([queue(3, 601)]) == ()
    assert folded([queue(3, 1, name="other")]) == ()
    assert folded([queue(3, 1)], policy()) == ()


def test_of_a_group_it_is_known_what_comes_and_what_a_consumer_does() -> None:
    """10 a second come, two consumers do 4 a second each, and much waits."""
    facts = [lag(age, end=9000 - 10 * age, done=1000 - 8 * age) for age in range(0, 100, 5)]
    said = policy(signals={"jobs": GROUP})
    [found] = folded(facts, said)
    assert (found.value, found.partitions) == (8000, 2)
    assert (found.arrived_per_s, found.growth_per_s, found.each_per_s) == (10, 2, 4)
    [unsure] = folded(facts[:1], said)
    assert (unsure.arrived_per_s, unsure.growth_per_s, unsure.each_per_s) == (None, None, None)


def test_consumers_that_had_nothing_to_do_teach_nothing() -> None:
    idle = [lag(age, end=9000 - 10 * age, done=9000 - 10 * age) for age in range(0, 100, 5)]
    alone = [lag(age, end=9000, done=1000 - 8 * age, consumers=None) for age in range(0, 100, 5)]
    again = [lag(0, end=10, done=10), lag(30, end=9000, done=10)]
    for facts in (idle, alone, again):
        [found] = folded(facts, policy(signals={"jobs": GROUP}))
        assert found.each_per_s is None
    assert found.arrived_per_s is None  # the topic was made anew


def test_pods_of_several_clusters_are_one_signal_and_series_are_apart() -> None:
    paid = Identifier(name="sessions", selector=Selector(match_labels={"tier": "paid"}))
    target = Target(type=TargetType.AVERAGE_VALUE, average_value="10")
    said = policy(
        metrics=(
            Metric(type=MetricType.PODS, pods=PodsMetric(metric=paid, target=target)),
            Metric(type=MetricType.EXTERNAL, external=ExternalMetric(metric=paid, target=target)),
        )
    )
    of_pods = {"kind": SignalKind.PODS, "name": "sessions"}
    facts = [
        queue(None, 3, **of_pods, source="a", series="tier=paid", by_pod={"a-0": 1.0}),
        queue(None, 8, **of_pods, source="b", series="tier=paid", by_pod={"b-0": 2.0}),
        queue(None, 90, **of_pods, source="gone", series="tier=paid", by_pod={"c-0": 3.0}),
        queue(None, 1, **of_pods, source="a", by_pod={"a-0": 9.0}),
        queue(4, 1, kind=SignalKind.EXTERNAL, name="sessions", series=series_of(paid)),
        queue(5, 1, kind=SignalKind.EXTERNAL, name="sessions"),
    ]
    each, whole = folded(facts, said)
    assert (each.by_pod, each.observed_at) == ({"a-0": 1.0, "b-0": 2.0}, ago(8))
    assert (whole.rule, whole.value) == (Rule.EXTERNAL, 4)


def test_what_one_application_can_say_is_bounded() -> None:
    view = Signals()
    for number in range(MOST_OF_APP + 5):
        view.apply(queue(number, 100 - number / 10, name=f"n{number}"), NOON)
    named = {f"n{number}": Signal(target=1) for number in (0, 4, 5, MOST_OF_APP + 4)}
    found = view.of("chat", policy(signals=named), NOON)
    assert [each.name for each in found] == [f"n{MOST_OF_APP + 4}", "n5"]


facts = st.one_of(
    st.builds(queue, st.floats(0, 1e6), st.integers(-30, 700)),
    st.builds(
        lambda age, waits, done, consumers: lag(
            age, end=done + waits, done=done, consumers=consumers
        ),
        st.integers(0, 700),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.none() | st.integers(0, 3),
    ),
)
once = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@once
@given(st.lists(facts, max_size=12, unique_by=lambda f: (f.kind, f.observed_at)), st.randoms())
def test_neither_order_nor_repeats_change_what_is_known(
    said: list[SignalObserved], chance: object
) -> None:
    both = policy(signals={"jobs": Signal(target=1)}), policy(signals={"jobs": GROUP})
    before = [folded(said, each) for each in both]
    again = said * 2
    chance.shuffle(again)  # type: ignore[attr-defined]  # hypothesis has no name for its type
    assert [folded(again, each) for each in both] == before


@once
@given(
    st.floats(0, 1e12),
    st.floats(0, 1e12),
    st.floats(0.001, 1e6),
    st.integers(0, 50),
    st.integers(1, 60),
)
def test_more_waiting_never_wants_fewer_and_partitions_cap(
    one: float, other: float, rate: float, cap: int, current: int
) -> None:
    said = Signal(drain_s=30, rate=rate, partitions=cap)
    low, high = (
        proposed(of(said, value, arrived_per_s=2.0, current=current), current).want or 0
        for value in sorted((one, other))
    )
    assert low <= high
    assert not cap or high <= cap
