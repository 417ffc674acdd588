"""The fold of cluster facts: the order of partitions, repeats, zombies and late facts."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from midstage.contracts import inventory
from midstage.contracts.cluster import (
    Amount,
    ClusterFact,
    ClusterReached,
    ClusterUnreachable,
    Kind,
    NodeObserved,
    NodeUsed,
    ObjectGone,
    Phase,
    PodObserved,
    PodUsed,
    QuotaUsed,
    WorkloadObserved,
)
from midstage.contracts.inventory import Folded, Inventory, key_of_fact

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def pod(
    name: str = "chat-1", version: int = 1, *, epoch: int = 1, app: str = "chat", ready: bool = True
) -> PodObserved:
    return PodObserved(
        cluster="local",
        name=name,
        namespace="default",
        epoch=epoch,
        observed_at=at(version),
        uid=f"uid-of-{name}",
        resource_version=version,
        app=app,
        phase=Phase.RUNNING,
        ready=ready,
        created_at=NOON,
    )


def gone(name: str = "chat-1", version: int = 2, *, epoch: int = 1) -> ObjectGone:
    return ObjectGone(
        cluster="local",
        name=name,
        namespace="default",
        epoch=epoch,
        observed_at=at(version),
        uid=f"uid-of-{name}",
        resource_version=version,
        kind=Kind.POD,
        app="chat",
    )


def used(name: str = "chat-1", second: int = 1, *, epoch: int = 1, cpu: float = 0.5) -> PodUsed:
    return PodUsed(
        cluster="local",
        name=name,
        namespace="default",
        epoch=epoch,
        observed_at=at(second),
        cpu=cpu,
        memory_mb=100,
    )


def quota(second: int = 1, *, name: str = "few", pods: float = 1.0, epoch: int = 1) -> QuotaUsed:
    return QuotaUsed(
        cluster="local",
        name=name,
        namespace="default",
        epoch=epoch,
        observed_at=at(second),
        hard={"pods": 5.0},
        used={"pods": pods},
    )


def node(name: str = "n1", version: int = 1, *, ready: bool = True) -> NodeObserved:
    return NodeObserved(
        cluster="local",
        name=name,
        epoch=1,
        observed_at=at(version),
        resource_version=version,
        ready=ready,
        capacity=Amount(cpu=4, memory_mb=1024),
    )


def workload(version: int = 1, *, replicas: int = 2) -> WorkloadObserved:
    return WorkloadObserved(
        cluster="local",
        name="chat-abc",
        namespace="default",
        epoch=1,
        observed_at=at(version),
        resource_version=version,
        app="chat",
        revision="abc",
        replicas=replicas,
    )


def reached(second: int, *, epoch: int = 1) -> ClusterReached:
    return ClusterReached(cluster="local", name="local", epoch=epoch, observed_at=at(second))


def unreachable(second: int, *, epoch: int = 1) -> ClusterUnreachable:
    return ClusterUnreachable(
        cluster="local",
        name="local",
        epoch=epoch,
        observed_at=at(second),
        since=at(second),
        reason="it does not answer",
    )


def said(held: Inventory) -> tuple[object, ...]:
    """All that a reader can ask."""
    return (
        held.nodes(),
        held.pods(),
        held.workloads(),
        [held.usage(each) for each in held.pods()],
        [held.node_usage(each) for each in held.nodes()],
        {name: (held.reached_at(name), held.unreachable(name)) for name in held.clusters()},
        {name: held.epoch(name) for name in held.clusters()},
    )


def test_it_tells_what_runs_where() -> None:
    held = Inventory(
        [node(), pod("chat-2"), pod("chat-1"), pod("ocr-1", app="ocr"), workload(), used(cpu=0.7)]
    )
    assert [each.name for each in held.pods_of("chat")] == ["chat-1", "chat-2"]
    assert [each.name for each in held.pods()] == ["chat-1", "chat-2", "ocr-1"]
    assert [each.replicas for each in held.workloads_of("chat")] == [2]
    assert [each.name for each in held.nodes()] == ["n1"]
    assert held.usage(pod("chat-1")) == used(cpu=0.7)
    assert held.usage(pod("chat-2")) is None
    assert held.pod(cluster="local", namespace="default", name="ocr-1") == pod("ocr-1", app="ocr")
    assert held.pods_of("nobody's") == []


def test_a_fact_seen_twice_or_late_changes_nothing() -> None:
    held = Inventory([pod(version=5, ready=False)])
    version = held.version
    assert held.apply(pod(version=5, ready=False)) is Folded.SAME
    assert held.apply(pod(version=4)) is Folded.OLDER
    assert held.pods_of("chat") == [pod(version=5, ready=False)]
    assert held.version == version
    assert held.apply(pod(version=6)) is Folded.NEWER
    assert held.version > version


def test_what_is_gone_stays_gone_until_it_is_made_anew() -> None:
    held = Inventory([pod(version=1), used(second=1), gone(version=7)])
    assert held.pods_of("chat") == []
    assert held.apply(pod(version=6)) is Folded.OLDER
    assert held.apply(used(second=60)) is Folded.OLDER
    assert held.usage(pod()) is None
    held.apply(pod(version=8))
    assert held.pods_of("chat") == [pod(version=8)]


def test_gone_before_it_was_seen_is_gone() -> None:
    held = Inventory([gone(version=7), pod(version=6)])
    assert held.pods() == []


def test_a_zombie_undoes_nothing_that_the_newer_epoch_has_said() -> None:
    held = Inventory([pod(version=5, epoch=2), used(second=5, epoch=2), reached(5, epoch=2)])
    before = said(held)
    for late in (
        pod(version=9, epoch=1, ready=False),
        gone(version=9, epoch=1),
        used(second=9, epoch=1, cpu=9),
        unreachable(9, epoch=1),
    ):
        assert held.apply(late) is Folded.OLDER
    assert said(held) == before


def test_a_new_epoch_may_count_versions_anew() -> None:
    held = Inventory([pod(version=900, epoch=1), pod(version=3, epoch=2, ready=False)])
    assert held.pods() == [pod(version=3, epoch=2, ready=False)]


def test_unreachable_is_not_gone() -> None:
    held = Inventory([pod(), reached(5), unreachable(10)])
    assert held.pods_of("chat") == [pod()]
    assert held.unreachable("local") == unreachable(10)
    assert held.reached_at("local") == at(10)  # what it is unreachable since
    held.apply(reached(15))
    assert held.unreachable("local") is None
    assert held.reached_at("local") == at(15)


def test_only_so_many_of_the_gone_are_remembered() -> None:
    held = Inventory(gone(f"chat-{n}", n) for n in range(inventory.GONE_KEPT + 10))
    assert held.apply(pod("chat-5", 1)) is Folded.NEWER  # among the first, and forgotten
    assert held.apply(pod(f"chat-{inventory.GONE_KEPT}", 1)) is Folded.OLDER


NAMES = ("chat-1", "chat-2", "ocr-1")
VERSIONS = st.integers(1, 12)
EPOCHS = st.integers(1, 3)
FACTS: st.SearchStrategy[ClusterFact] = st.one_of(
    st.builds(
        lambda name, version, epoch: pod(
            name, version, epoch=epoch, app=name[:-2], ready=bool(version % 2)
        ),
        st.sampled_from(NAMES),
        VERSIONS,
        EPOCHS,
    ),
    st.builds(
        lambda name, version, epoch: gone(name, version, epoch=epoch),
        st.sampled_from(NAMES),
        VERSIONS.map(lambda n: n + 100),  # no object changes and goes in the same version
        EPOCHS,
    ),
    st.builds(lambda version: node(version=version, ready=bool(version % 2)), VERSIONS),
    st.builds(lambda version: workload(version, replicas=version), VERSIONS),
    st.builds(lambda second, epoch: reached(second, epoch=epoch), VERSIONS, EPOCHS),
    st.builds(lambda second, epoch: unreachable(second + 20, epoch=epoch), VERSIONS, EPOCHS),
)
MEASURES: st.SearchStrategy[ClusterFact] = st.one_of(
    st.builds(
        lambda name, second, epoch: used(name, second, epoch=epoch, cpu=second),
        st.sampled_from(NAMES),
        VERSIONS,
        EPOCHS,
    ),
    st.builds(
        lambda second: NodeUsed(
            cluster="local", name="n1", epoch=1, observed_at=at(second), cpu=second, memory_mb=1
        ),
        VERSIONS,
    ),
)


@given(st.lists(FACTS, max_size=40), st.randoms(use_true_random=False))
def test_no_order_and_no_repeat_changes_the_end(
    facts: list[ClusterFact], chance: random.Random
) -> None:
    shuffled = [*facts, *facts[: len(facts) // 2]]
    chance.shuffle(shuffled)
    assert said(Inventory(shuffled)) == said(Inventory(facts))


@given(st.lists(st.one_of(FACTS, MEASURES), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_partitions_changes_nothing(
    facts: list[ClusterFact], chance: random.Random
) -> None:
    assert said(Inventory(interleaved(facts, chance))) == said(Inventory(facts))


@given(st.lists(st.one_of(FACTS, MEASURES), max_size=40), st.integers(0, 40))
def test_a_replay_ends_as_the_live_fold(facts: list[ClusterFact], cut: int) -> None:
    """Whoever starts from the newest of each key, then reads the tail, holds the same."""
    live = Inventory(facts)
    tables: dict[str, ClusterFact] = {}
    for fact in facts[:cut]:
        if not isinstance(fact, PodUsed | NodeUsed):
            held = Inventory(filter(None, [tables.get(key_of_fact(fact))]))
            if held.apply(fact) is Folded.NEWER:
                tables[key_of_fact(fact)] = fact
    started = Inventory([*tables.values(), *facts[cut:]])
    assert (started.nodes(), started.pods()) == (live.nodes(), live.pods())
    assert started.workloads() == live.workloads()
    assert started.unreachable("local") == live.unreachable("local")


def interleaved(facts: Sequence[ClusterFact], chance: random.Random) -> list[ClusterFact]:
    """Each key's facts in their own order, the keys mixed anew."""
    places: dict[str, list[ClusterFact]] = {}
    for fact in facts:
        places.setdefault(key_of_fact(fact), []).append(fact)
    turns = [key for key, held in places.items() for _ in held]
    chance.shuffle(turns)
    taken = {key: iter(held) for key, held in places.items()}
    return [next(taken[key]) for key in turns]


def test_what_is_gone_can_be_forgotten_and_comes_back_like_new() -> None:
    held = Inventory([pod(version=1), gone(version=2), pod("chat-2", 3)])
    [old] = held.gone("local", before=at(3))
    assert (old.name, held.gone("local", before=at(2)), held.gone("far", before=at(9))) == (
        *("chat-1", [], []),
    )
    held.forget(old)
    assert held.gone("local", before=at(9)) == []
    assert held.newest(key_of_fact(old)) is None
    held.apply(gone(version=5))
    held.forget(old)
    assert held.gone("local", before=at(9)) == [gone(version=5)]


def test_of_each_quota_of_a_namespace_the_newest_holds() -> None:
    held = Inventory([quota(2, pods=2), quota(1, pods=1), quota(1, name="all", pods=9)])
    told = held.quotas(cluster="local", namespace="default")
    assert [(each.name, each.used["pods"]) for each in told] == [("all", 9), ("few", 2)]
    assert held.apply(quota(9, pods=9, epoch=0)) is Folded.OLDER
    assert held.apply(quota(1, pods=3, epoch=2)) is Folded.NEWER
    assert held.quotas(cluster="local", namespace="default")[1].used == {"pods": 3.0}
    assert held.quotas(cluster="local", namespace="other") == []
    assert held.quotas(cluster="far", namespace="default") == []
