"""What a quota leaves room for bounds the count, in replicas of this application's size."""

from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.apps import AppSpec, AppSpecified, Resources, revision_of
from midstage.contracts.cluster import Amount, Phase, PodObserved, QuotaUsed, WorkloadObserved
from midstage.contracts.inventory import Inventory
from midstage.contracts.policy import Policy
from midstage.contracts.scaling import Inputs, Quota
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.scaling import asked
from midstage.hpa.model import Asked, Scaler
from midstage.hpa.views.quotas import quota
from midstage.hpa.views.world import Standing, World
from midstage.testkit.clock import NOON
from tests.hpa.engine import load, policy, why
from tests.hpa.strategies import any_inputs

SECOND = timedelta(seconds=1)
MIB = 1024 * 1024
EACH = Amount(cpu=0.5, memory_mb=256, gpus=1)
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pod(
    name: str,
    *,
    app: str = "chat",
    requests: Amount = EACH,
    made: datetime = NOON - 600 * SECOND,
    namespace: str = "team",
    cluster: str = "local",
) -> PodObserved:
    return PodObserved(
        cluster=cluster,
        namespace=namespace,
        name=name,
        epoch=1,
        observed_at=NOON,
        app=app,
        phase=Phase.RUNNING,
        ready=True,
        requests=requests,
        created_at=made,
    )


def told(
    hard: dict[str, float],
    used: dict[str, float],
    *,
    name: str = "team-a",
    at: datetime = NOON,
    namespace: str = "team",
) -> QuotaUsed:
    return QuotaUsed(
        cluster="local",
        namespace=namespace,
        name=name,
        epoch=1,
        observed_at=at,
        hard=hard,
        used=used,
    )


def room(*facts: PodObserved | QuotaUsed | WorkloadObserved, each: Amount = EACH) -> Quota | None:
    return quota(Inventory(facts), "chat", each, NOON)


TWO = (pod("a"), pod("b"))
GPUS = told({"requests.nvidia.com/gpu": 8}, {"requests.nvidia.com/gpu": 5})


def test_what_others_use_is_no_room_and_what_its_own_pods_use_is() -> None:
    found = room(*TWO, pod("c", app="ocr"), GPUS)
    assert found is not None
    assert (found.replicas, found.observed_at) == (5, NOON)
    assert found.reason == (
        "quota team-a has 8 requests.nvidia.com/gpu, others use 3 of it, a replica takes 1"
    )


def test_memory_is_told_in_mebibytes() -> None:
    found = room(*TWO, told({"requests.memory": 1024.0 * MIB}, {"requests.memory": 640.0 * MIB}))
    assert found is not None
    assert found.reason == (
        "quota team-a has 1024 MiB requests.memory, others use 128 MiB of it, "
        "a replica takes 256 MiB"
    )


@pytest.mark.parametrize(
    ("hard", "used", "replicas"),
    [
        ({"pods": 10}, {"pods": 4}, 8),
        ({"count/pods": 10}, {"count/pods": 4}, 8),
        ({"requests.cpu": 2.9}, {"requests.cpu": 1.0}, 5),
        ({"cpu": 3}, {"cpu": 1.5}, 5),
        ({"requests.memory": 1024.0 * MIB}, {"requests.memory": 512.0 * MIB}, 4),
        ({"limits.memory": 1100.0 * MIB}, {"limits.memory": 812.0 * MIB}, 3),
        ({"pods": 10, "requests.cpu": 1.0}, {"pods": 4, "requests.cpu": 1.0}, 2),
        ({"pods": 2}, {"pods": 9}, 0),
        ({"pods": 0}, {}, 0),
    ],
)
def test_the_scarcest_thing_bounds(
    hard: dict[str, float], used: dict[str, float], replicas: int
) -> None:
    found = room(*TWO, told(hard, used))
    assert found is not None
    assert found.replicas == replicas


def test_of_several_quotas_the_least_room_counts() -> None:
    found = room(*TWO, GPUS, told({"pods": 3}, {"pods": 2}, name="few"))
    assert found is not None
    assert (found.replicas, found.reason.split()[1]) == (3, "few")


def test_older_replicas_of_another_size_leave_the_room_that_they_take() -> None:
    large = Amount(cpu=2.0, memory_mb=256)
    found = room(pod("a", requests=large), told({"requests.cpu": 3.0}, {"requests.cpu": 2.5}))
    assert found is not None
    assert found.replicas == 5  # others have 0.5 of 3 cores


def test_a_pod_that_came_after_the_quota_was_counted_is_not_counted_twice() -> None:
    fresh = pod("c", made=NOON + SECOND)
    assert room(*TWO, GPUS) == room(*TWO, fresh, GPUS)
    assert room(*TWO, GPUS) == room(pod("a"), pod("b", made=NOON), GPUS)


def test_a_quota_holds_for_a_minute_after_it_was_told() -> None:
    found = room(*TWO, told({"pods": 3}, {"pods": 2}, at=NOON - 60 * SECOND))
    assert found is not None
    assert found.replicas == 3


@pytest.mark.parametrize(
    "facts",
    [
        (*TWO,),
        (GPUS,),
        (*TWO, told({"pods": 3}, {}, at=NOON - 61 * SECOND)),
        (*TWO, told({"pods": 3}, {}, namespace="other")),
        (*TWO, told({"services": 1, "limits.cpu": 1, "secrets": 0}, {})),
        (*TWO, told({}, {})),
        (*TWO, pod("c", namespace="other"), GPUS),
        (*TWO, pod("c", cluster="far"), GPUS),
        (*TWO, told({"pods": float("inf")}, {})),
        (*TWO, told({"pods": 3}, {"pods": float("nan")})),
    ],
)
def test_what_is_not_known_bounds_nothing(facts: tuple[PodObserved | QuotaUsed, ...]) -> None:
    assert room(*facts) is None


def test_a_quota_of_gpus_is_nothing_to_who_needs_none() -> None:
    assert room(*TWO, GPUS, each=Amount(cpu=0.5, memory_mb=256)) is None


def test_before_its_first_pod_the_workload_says_where_it_is() -> None:
    workload = WorkloadObserved(
        cluster="local",
        namespace="team",
        name="chat-1",
        epoch=1,
        observed_at=NOON,
        app="chat",
        revision="1",
        replicas=2,
    )
    for used, replicas in (({"pods": 3.0}, 0), ({}, 3)):
        found = room(workload, told({"pods": 3}, used))
        assert found is not None
        assert found.replicas == replicas


def test_the_newest_spec_says_what_a_replica_takes() -> None:
    spec = AppSpec(image="chat:1", resources=Resources(cpu=2, memory_mb=512, gpus=4))
    fact = AppSpecified(app="chat", spec=spec, revision=revision_of(spec), at=NOON)
    assert asked(Asked(), fact).requests == Amount(cpu=2, memory_mb=512, gpus=4)


def inputs_of(*facts: PodObserved | QuotaUsed, said: Policy) -> Inputs:
    world = World()
    for fact in facts:
        world.cluster(fact)
    standing = Standing(
        asked=Asked(policy=said, initial=2, requests=EACH),
        spec_version=1,
        scaler=Scaler(count=2, facts=1),
        scale_version=1,
    )
    return world.inputs("chat", standing, said, NOON)


def test_a_busy_application_grows_into_the_room_and_says_why_no_further() -> None:
    busy = load(concurrency=85)
    of = msgspec.structs.replace(inputs_of(*TWO, GPUS, said=policy()), load=busy, cluster_at=NOON)
    made = evaluate(of)
    assert (made.replicas, of.quota) == (5, room(*TWO, GPUS))
    assert why(made, "quota").startswith("not above 5: quota team-a has 8 requests.nvidia.com/gpu")
    unbounded = inputs_of(*TWO, said=policy())
    assert unbounded.quota is None
    free = msgspec.structs.replace(unbounded, load=busy, cluster_at=NOON)
    assert evaluate(free).replicas == 9


@some
@given(any_inputs, st.integers(0, 1000))
def test_nothing_but_an_order_is_above_the_room_and_nothing_that_runs_is_taken(
    of: Inputs, replicas: int
) -> None:
    bounded = msgspec.structs.replace(
        of, quota=Quota(replicas=replicas, reason="full"), override=None
    )
    free = msgspec.structs.replace(bounded, quota=None)
    made, without = evaluate(bounded).replicas, evaluate(free).replicas
    begun = evaluate(bounded).stages[0].replicas
    assert made <= max(replicas, min(without, begun))
    assert made == min(without, max(replicas, begun))


amounts = st.builds(
    Amount, cpu=st.floats(0.001, 64), memory_mb=st.integers(1, 1 << 20), gpus=st.integers(0, 8)
)
names = st.sampled_from(["pods", "requests.cpu", "limits.memory", "requests.nvidia.com/gpu", "x"])
figures = st.dictionaries(names, st.floats(0, 1e18), max_size=5)


@some
@given(amounts, st.lists(amounts, max_size=4), figures, figures)
def test_the_room_is_never_more_than_the_whole_and_never_below_none(
    each: Amount, own: list[Amount], hard: dict[str, float], used: dict[str, float]
) -> None:
    pods = [pod(f"p{number}", requests=of) for number, of in enumerate(own)]
    found = room(pod("first", requests=each), *pods, told(hard, used), each=each)
    whole = room(pod("first", requests=each), told(hard, {}), each=each)
    if found is None or whole is None:
        assert found == whole
        return
    assert 0 <= found.replicas <= whole.replicas <= 1_000_000
