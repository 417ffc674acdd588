"""What the folds say: seconds, wants, pods."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts.cluster import (
    Amount,
    ClusterFact,
    ClusterReached,
    ClusterUnreachable,
    Phase,
    PodObserved,
    PodUsed,
)
from midstage.contracts.inventory import Inventory
from midstage.contracts.load import LoadObserved
from midstage.contracts.policy import Rate
from midstage.contracts.scaling import LoadInput, Wanted
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.carried import Carried
from midstage.hpa.views.differing import difference
from midstage.hpa.views.pods import cold_start_s, pods, reached_at
from midstage.hpa.views.wants import Wants
from midstage.hpa.views.world import Standing, World
from midstage.testkit.clock import NOON
from tests.hpa.engine import changed, policy

SECOND = timedelta(seconds=1)


def second(ago: int, **changed: object) -> LoadObserved:
    """The second that began ``ago`` seconds before noon: 10 requests, 3 in flight, 1 pending."""
    at = NOON - ago * SECOND
    return LoadObserved(
        app="chat",
        **{
            "second": at,
            "shard": 0,
            "shards": 1,
            "revision": 10,
            "complete_until": at + SECOND,
            "outcomes": {"ok": 10},
            "in_flight": 3,
            "pending": 1,
            **changed,
        },  # type: ignore[arg-type]  # what a test changes
    )


def carried(*facts: LoadObserved, window_s: int = 15, now: datetime = NOON) -> LoadInput:
    held = Carried()
    for fact in facts:
        held.apply(fact, NOON)
    return held.of("chat", now=now, window_s=window_s)


def test_what_is_carried_is_the_mean_of_the_newest_known_seconds() -> None:
    found = carried(second(3, outcomes={"ok": 4, "error": 2}), second(2), second(1, in_flight=9))
    assert found == LoadInput(
        until=NOON,
        seconds=3,
        requests_per_s=26 / 3,
        gauged_until=NOON,
        gauged_seconds=3,
        concurrency=6.0,
    )
    assert carried(second(3), second(2), second(1, outcomes={"ok": 1}), window_s=1).seconds == 1


def test_nothing_is_known_of_an_app_that_nobody_speaks_of() -> None:
    assert carried() == LoadInput()


def test_refused_requests_are_no_load() -> None:
    assert carried(second(1, outcomes={"ok": 2, "refused": 900})).requests_per_s == 2


def test_a_second_counts_when_it_is_complete() -> None:
    newest = second(1, complete_until=NOON - SECOND)
    found = carried(second(2), newest)
    assert (found.until, found.gauged_until) == (NOON - SECOND, NOON)
    assert carried(second(1, complete_until=None)).requests_per_s is None
    assert carried(second(2, complete_until=None), second(1)).seconds == 2


def test_a_second_without_a_fact_is_unknown_not_zero() -> None:
    found = carried(second(9, outcomes={"ok": 30}), second(1))
    assert (found.seconds, found.requests_per_s) == (2, 20)


def test_gauges_that_are_unknown_are_not_zero() -> None:
    found = carried(second(2), second(1, in_flight=None))
    assert (found.gauged_until, found.concurrency) == (NOON - SECOND, 4)
    assert carried(second(1, pending=None)).concurrency is None


def test_the_highest_revision_counts_in_whatever_order() -> None:
    late = second(1, revision=12, outcomes={"ok": 12})
    assert carried(second(1), late).requests_per_s == 12
    assert carried(late, second(1), late).requests_per_s == 12


def test_shards_are_added_and_a_missing_one_is_unknown() -> None:
    one, two = second(1, shards=2), second(1, shard=1, shards=2, complete_until=NOON + SECOND)
    assert carried(one).requests_per_s is None
    assert carried(one, two).requests_per_s == 20
    assert carried(two, one).concurrency == 8


def test_old_seconds_are_unknown_to_whoever_folded_them() -> None:
    found = carried(second(20), now=NOON + timedelta(seconds=39))
    assert found.until == NOON - 19 * SECOND
    assert carried(second(20), now=NOON + timedelta(seconds=42)) == LoadInput()


@pytest.mark.parametrize(
    "absurd",
    [
        second(1, second=datetime.max.replace(tzinfo=NOON.tzinfo)),
        second(1, second=datetime.min.replace(tzinfo=NOON.tzinfo)),
        second(1, outcomes={"ok": -5}, in_flight=-1),
        second(1, outcomes={"ok": 10**30}, in_flight=10**30),
    ],
)
def test_an_absurd_second_is_not_believed(absurd: LoadObserved) -> None:
    assert carried(absurd) == LoadInput()
    assert carried(second(2), absurd).requests_per_s == 10


def test_completeness_from_the_far_future_is_not_believed() -> None:
    far = datetime.max.replace(tzinfo=NOON.tzinfo)
    assert carried(second(1, complete_until=far)).requests_per_s is None


def test_a_fold_that_began_late_knows_the_same() -> None:
    facts = [second(ago, outcomes={"ok": ago}) for ago in range(1000, 0, -1)]
    whole, late = Carried(), Carried()
    for fact in facts:
        whole.apply(fact, fact.second + 2 * SECOND)
    for fact in facts[-900:]:
        late.apply(fact, fact.second + 2 * SECOND)
    for window_s in (1, 15, 600):
        expected = whole.of("chat", now=NOON, window_s=window_s)
        assert late.of("chat", now=NOON, window_s=window_s) == expected
        assert expected.seconds == window_s


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 9)), min_size=1, max_size=40),
    st.integers(0, 3600),
)
def test_wants_keep_what_can_be_asked_for(said: list[tuple[int, int]], window_s: int) -> None:
    wants = Wants()
    for ago, replicas in said:
        wants.apply("chat", Wanted(at=NOON - ago * SECOND, replicas=replicas), NOON)
    inside = [replicas for ago, replicas in said if ago < window_s]
    since = NOON - window_s * SECOND
    largest, least = wants.largest("chat", since), wants.least("chat", since)
    assert (largest.replicas if largest else None) == (max(inside) if inside else None)
    assert (least.replicas if least else None) == (min(inside) if inside else None)


def test_wants_of_another_time_are_not_believed() -> None:
    wants = Wants()
    wants.apply("chat", Wanted(at=datetime.max.replace(tzinfo=NOON.tzinfo), replicas=9), NOON)
    wants.apply("chat", Wanted(at=NOON, replicas=2), NOON)
    assert wants.largest("chat", NOON - SECOND) == Wanted(at=NOON, replicas=2)
    assert wants.largest("other", NOON - SECOND) is None


def pod(name: str, phase: Phase, **changed: object) -> PodObserved:
    return PodObserved(
        cluster="local",
        name=name,
        epoch=1,
        observed_at=NOON,
        resource_version=1,
        app="chat",
        phase=phase,
        requests=Amount(cpu=0.5),
        created_at=NOON,
        **changed,  # type: ignore[arg-type]  # what a test changes
    )


def reached(cluster: str = "local", ago: int = 1) -> ClusterReached:
    return ClusterReached(cluster=cluster, name=cluster, epoch=1, observed_at=NOON - ago * SECOND)


def test_pods_that_end_or_drain_do_not_count() -> None:
    inventory = Inventory(
        [
            pod("a", Phase.RUNNING, ready=True),
            pod("b", Phase.RUNNING, ready=True, draining=True),
            pod("c", Phase.STOPPING),
            pod("d", Phase.LOST),
            pod("e", Phase.PENDING),
            pod("f", Phase.STARTING),
            pod("g", Phase.BACKOFF),
        ]
    )
    found = pods(inventory, "chat", NOON)
    assert [(each.name, each.ready) for each in found] == [
        ("a", True),
        ("e", False),
        ("f", False),
        ("g", False),
    ]
    assert pods(inventory, "other", NOON) == ()


def test_what_a_pod_used_is_forgotten_after_a_minute() -> None:
    used = PodUsed(cluster="local", name="a", epoch=1, observed_at=NOON, cpu=0.3, memory_mb=1)
    inventory = Inventory([pod("a", Phase.RUNNING, ready=True), used])
    [fresh] = pods(inventory, "chat", NOON + 60 * SECOND)
    assert (fresh.cpu, fresh.cpu_at, fresh.cpu_requested) == (0.3, NOON, 0.5)
    [old] = pods(inventory, "chat", NOON + 61 * SECOND)
    assert (old.cpu, old.cpu_at) == (None, None)


def test_a_pods_story_and_all_that_it_uses_are_told() -> None:
    used = PodUsed(
        cluster="local", name="a", epoch=1, observed_at=NOON, cpu=0.3, memory_mb=70.5, gpu=0.9
    )
    held = pod("a", Phase.RUNNING, ready=True, started_at=NOON, ready_at=NOON + 9 * SECOND)
    [found] = pods(Inventory([held, used]), "chat", NOON + 9 * SECOND)
    assert (found.phase, found.started_at, found.ready_at) == (
        Phase.RUNNING,
        NOON,
        NOON + 9 * SECOND,
    )
    assert (found.memory_mb, found.gpu, found.cpu_at) == (70.5, 0.9, NOON)
    [waits] = pods(Inventory([pod("b", Phase.PENDING)]), "chat", NOON)
    assert (waits.started_at, waits.ready_at) == (NOON, None)


def test_a_cold_start_is_what_nine_of_ten_took() -> None:
    """From being made to being ready; who began again or was ready before says nothing of it."""

    def took(*seconds: float, **changed: object) -> float | None:
        held = [
            pod(
                f"p{number}",
                Phase.RUNNING,
                **{"ready": True, "ready_at": NOON + each * SECOND, **changed},
            )
            for number, each in enumerate(seconds)
        ]
        return cold_start_s(Inventory(held), "chat")

    assert took() is None
    assert took(30) == 30
    assert took(*range(10, 20)) == 18
    assert took(*range(10, 19), 3601) == 18
    assert took(30, restarts=1) is None
    assert took(30, ready=False) is None
    assert took(-5) is None


def test_the_cluster_with_the_pods_is_the_one_that_must_answer() -> None:
    held: list[ClusterFact] = [pod("a", Phase.RUNNING), reached(), reached("far", ago=9)]
    away = ClusterUnreachable(cluster="far", name="far", epoch=1, observed_at=NOON, since=NOON)
    assert reached_at(Inventory(held), "chat", NOON) == NOON - SECOND
    assert reached_at(Inventory([*held, away]), "chat", NOON) == NOON - SECOND
    assert reached_at(Inventory(held), "new", NOON) == NOON - 9 * SECOND
    assert reached_at(Inventory([*held, away]), "new", NOON) is None
    assert reached_at(Inventory([]), "chat", NOON) is None
    assert reached_at(Inventory(held), "chat", NOON + timedelta(minutes=4)) is None


def test_the_first_count_is_known_for_as_long_as_it_stabilises() -> None:
    """Longer than the periods of the rates, which look at the other changes alone."""
    rules = policy(stabilise_down_s=300, up=Rate(period_s=15), down=Rate(period_s=15))
    standing = Standing(
        asked=Asked(policy=rules, initial=3),
        spec_version=1,
        scaler=Scaler(count=3, facts=1, changes=(changed(0, 0, 3),)),
        scale_version=1,
    )
    found = World().inputs("chat", standing, rules, NOON + 299 * SECOND)
    assert found.changes == (changed(0, 0, 3),)
    assert World().inputs("chat", standing, rules, NOON + 300 * SECOND).changes == ()


def test_the_first_difference_is_told_by_its_path() -> None:
    one = {"a": 1, "b": [{"c": 2}, {"c": 3}]}
    assert difference(one, one) == ""
    assert difference(one, {**one, "b": [{"c": 2}, {"c": 4}]}) == "b[1].c was 3, is 4"
    assert difference(one, {"a": 1}) == "b was [{'c': 2}, {'c': 3}], is 'nothing'"
    assert difference({"a": [1]}, {"a": [1, 2]}) == "a was [1], is [1, 2]"
