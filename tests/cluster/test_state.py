"""Whatever happens in a cluster, in whatever order: nothing is lost, doubled or overfilled."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.cluster.controller import counts
from midstage.cluster.fit import free
from midstage.cluster.leases import Leases
from midstage.cluster.objects import Lease, Template, Workload
from midstage.cluster.protocol import ConflictError, ExpiredError
from midstage.cluster.state import State
from midstage.contracts.cluster import Amount, Phase
from midstage.testkit.clock import NOON

from .bench import NODES, by_name, folded

NAMES = st.sampled_from(["a", "b"])
MOVES = st.one_of(
    st.tuples(st.just("put"), NAMES, st.integers(0, 5)),
    st.tuples(st.just("delete"), NAMES, st.just(0)),
    st.tuples(
        st.sampled_from(["start", "ready", "unready", "end", "stopped", "drain"]),
        st.just(""),
        st.integers(0, 9),
    ),
    st.tuples(
        st.sampled_from(["dies", "returns", "cordon", "uncordon"]),
        st.sampled_from([node.name for node in NODES]),
        st.just(0),
    ),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 3)),
)


def numbers() -> Iterator[str]:
    return (f"{number:08x}" for number in count(1))


def made(*, begin: int = 0, keep: int = 10_000) -> State:
    fresh = numbers()
    return State(nodes=NODES, fresh=lambda: next(fresh), begin=begin, keep=keep)


def workload(name: str, replicas: int, *, cpu: float = 1.5) -> Workload:
    template = Template(image="x", requests=Amount(cpu=cpu, memory_mb=100))
    return Workload(name=name, app=name, revision="1", template=template, replicas=replicas)


def put(state: State, wanted: Workload, now: datetime = NOON) -> Workload:
    known = next((each for each in state.workloads() if each.name == wanted.name), None)
    version = known.resource_version if known else 0
    return state.put_workload(wanted, expected=version, now=now)


def move(state: State, what: str, name: str, number: int, now: datetime) -> None:
    pods = state.pods()
    pod = pods[number % len(pods)].name if pods else "none"
    match what:
        case "put":
            put(state, workload(name, number), now)
        case "delete":
            known = [each for each in state.workloads() if each.name == name]
            version = known[0].resource_version if known else 1
            state.delete_workload(name, expected=version, now=now)
        case "dies" | "returns":
            state.set_node(name, ready=what == "returns", now=now)
        case "cordon" | "uncordon":
            state.set_node(name, schedulable=what == "uncordon", now=now)
        case "wait":
            state.settle(now)
        case _:
            on_pod(state, what, pod, now)


def on_pod(state: State, what: str, pod: str, now: datetime) -> None:
    match what:
        case "start":
            state.started(pod, address="here:1", now=now)
        case "ready" | "unready":
            state.answered(pod, ready=what == "ready", now=now)
        case "end":
            state.ended(pod, exit_code=1, reason="CrashLoopBackOff", message="", now=now)
        case "stopped":
            state.stopped(pod, now=now)
        case _:
            if (known := state.pod(pod)) is not None:
                state.drain_pod(pod, uid=known.uid, draining=not known.draining)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.lists(MOVES, max_size=40))
def test_after_every_move_the_cluster_is_in_order(moves: list[tuple[str, str, int]]) -> None:
    state, now = made(), NOON
    begin = state.listing()
    for what, name, number in moves:
        now += timedelta(seconds=number if what == "wait" else 0)
        move(state, what, name, number, now)

        changes = state.after(begin.resource_version)
        versions = [change.resource_version for change in changes]
        assert versions == list(range(begin.resource_version + 1, state.version + 1))
        listing = state.listing()
        assert by_name(folded(begin, changes)) == by_name(listing)

        left = free(listing.nodes, listing.pods)
        assert all(min(each.cpu, each.memory_mb, each.gpus) >= 0 for each in left.values())
        for each in listing.workloads:
            of = [pod for pod in listing.pods if pod.workload == each.name]
            assert sum(counts(pod) for pod in of) == each.replicas
            assert sum(pod.ready for pod in of) == each.ready
        for pod in listing.pods:
            assert bool(pod.node) == (pod.phase is not Phase.PENDING)
            assert not pod.ready or pod.phase is Phase.RUNNING


def test_history_is_bounded_and_says_when_it_does_not_reach() -> None:
    state = made(keep=5)
    put(state, workload("a", 4))
    assert len(state.after(state.version - 5)) == 5
    assert state.after(state.version) == ()
    with pytest.raises(ExpiredError):
        state.after(state.version - 6)
    with pytest.raises(ExpiredError):
        state.after(state.version + 1)


def test_versions_go_on_from_where_they_begin_and_nothing_before_is_known() -> None:
    state = made(begin=500)
    assert state.version == 500 + len(NODES)
    assert len(state.after(500)) == len(NODES)
    with pytest.raises(ExpiredError):
        state.after(499)


def test_a_restored_workload_keeps_its_uid_and_gets_new_pods() -> None:
    state, again = made(), made(begin=1000)
    before = put(state, workload("a", 2))
    for pod in state.pods():
        state.started(pod.name, address="here:1", now=NOON)
        state.answered(pod.name, ready=True, now=NOON)
    (before,) = state.workloads()
    again.restore(before, now=NOON)
    (after,) = again.workloads()
    assert (after.uid, after.replicas, after.ready) == (before.uid, 2, 0)
    assert after.resource_version > before.resource_version
    with pytest.raises(ConflictError):
        again.put_workload(after, expected=before.resource_version, now=NOON)


def test_a_lost_pod_is_replaced_when_its_time_is_over_and_not_before() -> None:
    state = made()
    put(state, workload("a", 1))
    (pod,) = state.pods()
    state.set_node(pod.node, ready=False, now=NOON)
    due = state.due()
    assert due == NOON + timedelta(seconds=2)
    state.settle(due - timedelta(microseconds=1))
    assert [each.uid for each in state.pods()] == [pod.uid]
    state.settle(due)
    (other,) = state.pods()
    assert other.uid != pod.uid
    assert other.node not in ("", pod.node)
    assert state.due() is None


def test_what_a_kubelet_says_of_pods_that_are_gone_or_ending_changes_nothing() -> None:
    state = made()
    put(state, workload("a", 1))
    (pod,) = state.pods()
    put(state, workload("a", 0))
    version = state.version
    state.started(pod.name, address="here:1", now=NOON)
    state.answered(pod.name, ready=True, now=NOON)
    state.ended(pod.name, exit_code=1, reason="x", message="", now=NOON)
    state.stopped("nobody", now=NOON)
    assert state.version == version
    state.stopped(pod.name, now=NOON)
    assert state.pods() == ()


def test_a_ready_replica_outlives_one_that_never_was() -> None:
    state = made()
    put(state, workload("a", 2))
    good, other = state.pods()
    state.answered(good.name, ready=True, now=NOON)
    put(state, workload("a", 1))
    ending = [pod.name for pod in state.pods() if pod.phase is Phase.STOPPING]
    assert ending == [other.name]


def test_a_draining_mark_outweighs_readiness_and_age() -> None:
    state = made()
    put(state, workload("a", 3))
    for pod in state.pods():
        state.answered(pod.name, ready=True, now=NOON)
    marked = state.pods()[2]
    state.drain_pod(marked.name, uid=marked.uid, draining=True)
    put(state, workload("a", 2))
    assert [pod.name for pod in state.pods() if pod.phase is Phase.STOPPING] == [marked.name]


def test_epochs_grow_with_each_holder_and_leases_end_in_time() -> None:
    leases, span = Leases(), timedelta(seconds=10)

    def take(holder: str, at_s: float) -> Lease:
        now = NOON + timedelta(seconds=at_s)
        return leases.take("control", holder=holder, within=span, now=now)

    assert (take("a", 0).epoch, take("b", 9).holder, take("a", 9).epoch) == (1, "a", 1)
    assert take("b", 18.9).holder == "a"
    assert (take("b", 19).holder, take("b", 19).epoch) == ("b", 2)
    assert take("a", 20).holder == "b"
    assert (take("a", 30).holder, take("a", 30).epoch) == ("a", 3)


def test_a_template_that_asks_for_nothing_fits_a_full_node() -> None:
    state = made()
    for node in NODES:
        state.set_node(node.name, capacity=Amount(), now=NOON)
    nothing = msgspec.structs.replace(workload("a", 1), template=Template(image="x"))
    put(state, nothing)
    assert state.pods()[0].phase is Phase.STARTING


def test_what_was_evicted_for_a_pod_is_not_for_those_of_less() -> None:
    """Else they would take it, be evicted in turn, and the pod would wait for ever."""
    fresh = numbers()
    node = msgspec.structs.replace(NODES[0], capacity=Amount(cpu=3, memory_mb=1024))
    state = State(nodes=[node], fresh=lambda: next(fresh), priorities={"low": -5})
    low, high = workload("low", 2, cpu=1), workload("high", 1, cpu=3)
    template = msgspec.structs.replace(low.template, priority="low")
    put(state, msgspec.structs.replace(low, template=template))
    for each in state.pods():
        state.started(each.name, address="here:1", now=NOON)
    put(state, high)
    evicted = [each.name for each in state.pods() if each.phase is Phase.STOPPING]
    assert len(evicted) == 2
    for name in evicted:
        state.stopped(name, now=NOON)
    assert [each.workload for each in state.pods() if each.node] == ["high"]
