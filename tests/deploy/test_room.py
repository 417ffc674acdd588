"""How an update would go, played through on the nodes as they are seen."""

from collections.abc import Sequence

import msgspec
import pytest

from midstage.cluster.objects import Node
from midstage.contracts.apps import AppSpec, Resources, Rollout, revision_of
from midstage.contracts.cluster import Amount, Phase, PodObserved
from midstage.contracts.running import Spread
from midstage.deploy.decide.room import Course, Way, course_of
from midstage.deploy.model import Room
from midstage.testkit.clock import NOON
from tests.deploy.facts import node, observed_node

OLD = AppSpec(command=("old",), resources=Resources(cpu=1))


def spec(cpu: float = 1, gpus: int = 0, **rollout: int) -> AppSpec:
    return AppSpec(
        command=("new",),
        resources=Resources(cpu=cpu, gpus=gpus),
        rollout=msgspec.convert(rollout, Rollout),
    )


def pods(
    count: int, *, on: str = "n", ready: bool = True, cpu: float = 1, gpus: int = 0
) -> list[PodObserved]:
    return [
        PodObserved(
            cluster="local",
            name=f"n-{number}",
            epoch=1,
            observed_at=NOON,
            uid=f"n-{number}",
            app="chat",
            revision=revision_of(OLD),
            workload="chat-old",
            node="n",
            phase=Phase.RUNNING,
            ready=ready,
            requests=Amount(cpu=1, memory_mb=128, gpus=gpus),
            created_at=NOON,
        )
        for number in range(count)
    ]


def course(
    of: AppSpec, count: int, running: Sequence[PodObserved], *nodes: Node
) -> tuple[Way, str]:
    room = Room(nodes=tuple(observed_node(each) for each in nodes), pods=tuple(running))
    found = course_of(of, count, running, room)
    return found.way, found.shortage


def test_with_room_it_surges() -> None:
    assert course(spec(), 3, pods(3), node("n", cpu=4)) == (Way.SURGE, "")


def test_without_room_it_goes_in_place_while_enough_stay_ready() -> None:
    assert course(spec(), 3, pods(3), node("n", cpu=3))[0] is Way.IN_PLACE
    assert course(spec(surge=0), 3, pods(3), node("n", cpu=9))[0] is Way.IN_PLACE


def test_one_replica_without_room_is_refused_unless_none_has_to_be_ready() -> None:
    refused = (Way.REFUSED, "0/1 nodes are available: 1 Insufficient cpu.")
    assert course(spec(), 1, pods(1), node("n", cpu=1)) == refused
    assert course(spec(min_available=0), 1, pods(1), node("n", cpu=1))[0] is Way.IN_PLACE


def test_the_last_spare_gpu_decides() -> None:
    running = pods(2, gpus=1)
    spare = node("n", cpu=9, gpus=3)
    assert course(spec(gpus=1), 2, running, spare)[0] is Way.SURGE
    assert course(spec(gpus=1), 2, running, node("n", cpu=9, gpus=2))[0] is Way.IN_PLACE
    kept = course(spec(gpus=1, min_available=2), 2, running, node("n", cpu=9, gpus=2))
    assert kept == (Way.REFUSED, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")


def test_what_fits_once_but_not_each_time_is_refused() -> None:
    assert course(spec(cpu=2), 3, pods(3), node("n", cpu=5))[0] is Way.REFUSED
    assert course(spec(cpu=2), 3, pods(3), node("n", cpu=6))[0] is Way.IN_PLACE


def test_replicas_that_do_not_serve_give_their_place_first() -> None:
    assert course(spec(), 1, pods(1, ready=False), node("n", cpu=1))[0] is Way.IN_PLACE


def test_an_update_that_goes_on_counts_what_is_placed() -> None:
    assert course(spec(), 2, pods(3), node("n", cpu=3))[0] is Way.SURGE


@pytest.mark.parametrize("cpu", [3.0, 9.0])
def test_a_first_revision_may_wait_for_room(cpu: float) -> None:
    assert course(spec(cpu=4), 1, [], node("n", cpu=4), node("m", cpu=cpu))[0] is Way.FIRST


def test_what_no_node_could_ever_take_is_refused() -> None:
    assert course(spec(cpu=10), 1, [], node("n", cpu=4)) == (
        Way.REFUSED,
        "0/1 nodes are available: 1 Insufficient cpu.",
    )


def test_a_cluster_that_is_not_known_refuses_nothing() -> None:
    assert course_of(spec(cpu=10), 1, [], None).way is Way.UNKNOWN


def spread_over(*zones: str, cpu: float = 2) -> list[Node]:
    return [
        msgspec.structs.replace(node(f"n{number}", cpu=cpu), labels={"zone": zone})
        for number, zone in enumerate(zones)
    ]


def evenly(of: AppSpec, over: str = "zone") -> AppSpec:
    return msgspec.structs.replace(of, spread=(Spread(over=over, required=True),))


def test_room_that_a_required_spread_forbids_is_no_room() -> None:
    """Four more fit into the one zone, and none into the other: so one may go, whoever ends."""
    roomy, full = spread_over("a", "b", cpu=8)
    full = msgspec.structs.replace(full, capacity=Amount(cpu=0.5, memory_mb=65_536))
    running = [msgspec.structs.replace(pod, node=roomy.name) for pod in pods(4)]
    kept = spec(min_available=1, surge=4)
    assert course(kept, 4, running, roomy, full)[0] is Way.SURGE
    assert course(evenly(kept), 4, running, roomy, full) == (
        Way.REFUSED,
        "there is room for 1 of 4 replicas, spread over zone, and no order of replacing the 4 "
        "older ones keeps 1 ready",
    )


def test_a_zone_whose_nodes_take_nothing_holds_back_the_others() -> None:
    first, second = spread_over("a", "b", cpu=9)
    gone = msgspec.structs.replace(second, schedulable=False)
    running = [msgspec.structs.replace(pod, node=first.name) for pod in pods(2)]
    assert course(evenly(spec(min_available=0)), 2, running, first, second)[0] is Way.SURGE
    assert course(evenly(spec(min_available=0)), 2, running, first, gone)[0] is Way.REFUSED


def test_nodes_without_the_label_take_none_that_are_spread_over_it() -> None:
    words = (
        "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing "
        "required label)."
    )
    assert course(evenly(spec(), over="rack"), 1, [], *spread_over("a")) == (Way.REFUSED, words)


def waiting(gpus: int) -> PodObserved:
    (other,) = pods(1, ready=False, gpus=gpus)
    named = msgspec.structs.replace(other, name="batch", uid="batch", app="batch", node="")
    return msgspec.structs.replace(named, phase=Phase.PENDING, reason="Unschedulable")


def beside(other: PodObserved, of: AppSpec, running: list[PodObserved], *nodes: Node) -> Course:
    facts = tuple(observed_node(each) for each in nodes)
    return course_of(of, len(running), running, Room(nodes=facts, pods=(*running, other)))


def test_what_becomes_free_is_had_first_by_who_waits_for_it() -> None:
    running, full = pods(2, gpus=1), node("n", cpu=9, gpus=2)
    told = beside(waiting(gpus=1), spec(gpus=1), running, full)
    assert told == Course(
        way=Way.REFUSED,
        shortage="0/1 nodes are available: 1 Insufficient nvidia.com/gpu. 1 waiting pods of others "
        "come first.",
    )
    roomier = node("n", cpu=9, gpus=3)
    assert beside(waiting(gpus=1), spec(gpus=1), running, roomier).way is Way.IN_PLACE
    assert beside(waiting(gpus=3), spec(gpus=1), running, full).way is Way.IN_PLACE


def test_who_waits_for_another_pool_takes_no_room_here() -> None:
    elsewhere = msgspec.structs.replace(waiting(gpus=1), node_selector={"pool": "batch"})
    full = node("n", cpu=9, gpus=2)
    assert beside(elsewhere, spec(gpus=1), pods(2, gpus=1), full).way is Way.IN_PLACE


def worth(pod: PodObserved, priority: int, of: str = "", *, preempts: bool = True) -> PodObserved:
    return msgspec.structs.replace(pod, priority=priority, priority_class=of, preempts=preempts)


def test_who_is_worth_less_takes_no_room_whether_it_waits_or_runs() -> None:
    full = node("n", cpu=9, gpus=2)
    running = [worth(pod, 5) for pod in pods(2, gpus=1)]
    assert beside(worth(waiting(gpus=1), 5), spec(gpus=1), running, full).way is Way.REFUSED
    assert beside(worth(waiting(gpus=1), 9), spec(gpus=1), running, full).way is Way.REFUSED
    assert beside(worth(waiting(gpus=1), 4), spec(gpus=1), running, full).way is Way.IN_PLACE
    runs = msgspec.structs.replace(waiting(gpus=1), node="n", phase=Phase.RUNNING)
    tight = node("n", cpu=9, gpus=3)
    kept = spec(gpus=1, min_available=2)
    assert beside(worth(runs, 5), kept, running, tight).way is Way.REFUSED
    assert beside(worth(runs, 4), kept, running, tight).way is Way.SURGE


def test_nobody_yields_to_a_class_that_evicts_nobody_or_is_not_known() -> None:
    full, low = node("n", cpu=9, gpus=2), worth(waiting(gpus=1), 4)
    gently = [worth(pod, 5, preempts=False) for pod in pods(2, gpus=1)]
    assert beside(low, spec(gpus=1), gently, full).way is Way.REFUSED
    serving = msgspec.structs.replace(spec(gpus=1), priority="serving")
    other = [worth(pod, 9, "other") for pod in pods(2, gpus=1)]
    assert beside(low, serving, other, full).way is Way.REFUSED
    named = [worth(pod, 9, "serving") for pod in pods(2, gpus=1)]
    assert beside(low, serving, named, full).way is Way.IN_PLACE


def test_nobody_yields_while_older_replicas_of_ones_own_would_go_too() -> None:
    """The scheduler might evict them instead, before any edge has let go of them."""
    full, low = node("n", cpu=9, gpus=3), worth(waiting(gpus=1), 4)
    serving = msgspec.structs.replace(spec(gpus=1), priority="serving")
    (known,) = pods(1, gpus=1)
    new = msgspec.structs.replace(
        worth(known, 9, "serving"), uid="new", revision=revision_of(serving)
    )
    as_much = [*(worth(pod, 9, "serving") for pod in pods(2, gpus=1)), new]
    assert beside(low, serving, as_much, full).way is Way.IN_PLACE
    less = [*(worth(pod, 5) for pod in pods(2, gpus=1)), new]
    assert beside(low, serving, less, full).way is Way.REFUSED


def two_ways(*places: str, cpu: float) -> list[Node]:
    """Nodes as ``zone-rack``."""
    return [
        msgspec.structs.replace(
            node(place, cpu=cpu), labels=dict(zip(("zone", "rack"), place.split("-"), strict=True))
        )
        for place in places
    ]


def both(of: AppSpec) -> AppSpec:
    over = tuple(Spread(over=each, required=True) for each in ("zone", "rack"))
    return msgspec.structs.replace(of, spread=over)


def test_under_two_spreads_no_place_may_shut_out_the_others() -> None:
    """One on a-2 leaves neither a place in zone b nor on rack 1: only b-1 would even both out."""
    shut = two_ways("a-1", "b-2", "a-2", cpu=2)
    running = [
        msgspec.structs.replace(pod, node=each.name)
        for pod, each in zip(pods(3), shut, strict=True)
    ]
    assert course(both(spec(min_available=0)), 3, running, *shut)[0] is Way.REFUSED
    whole = two_ways("a-1", "b-2", "a-2", "b-1", cpu=2)
    assert course(both(spec(min_available=0)), 3, running, *whole)[0] is Way.SURGE
