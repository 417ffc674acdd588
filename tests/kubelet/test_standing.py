"""The status of a pod as Kubernetes hears it: phases, conditions with their times, take-over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstage.local.kubelet.shapes import Container, Meta, Pod, PodSpec, PodStatus
from midstage.local.kubelet.standing import (
    Running,
    Standing,
    Terminated,
    Waiting,
    backing_off,
    patch,
    phase,
    reads,
    stamped,
    taken_over,
    unpulled,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=90)
POD = Pod(
    metadata=Meta(name="p", namespace="n", uid="u"),
    spec=PodSpec(node_name="plain", containers=(Container(name="main", image="x"),)),
)
RUNS = Running(since=NOON)
CRASHED = Terminated(exit_code=3, reason="Error", message="seven\n", since=NOON, until=LATER)

STATES = st.sampled_from([Waiting(), RUNS, CRASHED, replace(CRASHED, exit_code=0)])
STANDINGS = st.builds(
    Standing,
    state=STATES,
    last=st.sampled_from([None, CRASHED]),
    begun=st.booleans(),
    ready=st.booleans(),
    ending=st.booleans(),
    restarts=st.integers(0, 9),
    port=st.integers(0, 65_535),
    fault=st.sampled_from(["", "GET /readyz answers 503"]),
)


def told(standing: Standing, *, now: datetime = NOON) -> Pod:
    """The pod as the API has it after ``standing`` was told."""
    stood = replace(standing, since=stamped(standing, standing, now=now))
    body = patch(POD, stood, pod_ip="10.244.1.1", started_at=NOON)
    return msgspec.structs.replace(POD, status=msgspec.convert(body["status"], PodStatus))


def conditions(pod: Pod) -> dict[str, tuple[str, str | None]]:
    return {each.type: (each.status, each.message) for each in pod.status.conditions}


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(), "Pending"),
        (Standing(state=RUNS, begun=True), "Running"),
        (Standing(state=Waiting(reason="CrashLoopBackOff"), begun=True), "Running"),
        (Standing(state=CRASHED), "Failed"),
        (Standing(state=replace(CRASHED, exit_code=0)), "Succeeded"),
    ],
)
def test_a_phase_is_kubernetes_word_for_the_state(standing: Standing, said: str) -> None:
    assert phase(standing) == said


def test_who_is_not_ready_says_why() -> None:
    asked = Standing(state=RUNS, begun=True, fault="GET /readyz answers 503")
    assert conditions(told(asked))["Ready"] == (
        "False",
        "containers with unready status: [main] (GET /readyz answers 503)",
    )
    assert conditions(told(replace(asked, ready=True)))["Ready"] == ("True", None)


def test_who_ends_is_not_ready_any_more() -> None:
    ready = Standing(state=RUNS, begun=True, ready=True)
    assert conditions(told(ready))["ContainersReady"][0] == "True"
    assert conditions(told(replace(ready, ending=True)))["ContainersReady"][0] == "False"


def test_the_address_is_there_while_there_is_a_port() -> None:
    for port, address in [(0, None), (8000, "127.0.0.1:8000")]:
        standing = Standing(state=RUNS, port=port)
        stood = replace(standing, since=stamped(standing, standing, now=NOON))
        metadata = patch(POD, stood, pod_ip="10.244.1.1", started_at=NOON)["metadata"]
        assert metadata == {"uid": "u", "annotations": {"midstage.dev/address": address}}


@given(STANDINGS, STANDINGS)
def test_a_condition_keeps_its_time_while_it_does_not_change(
    first: Standing, second: Standing
) -> None:
    before = replace(first, since=stamped(first, first, now=NOON))
    after = stamped(second, before, now=LATER)
    for kind, (status, since) in after.items():
        assert since == (NOON if before.since[kind][0] == status else LATER)


@given(STANDINGS)
def test_what_was_told_is_read_back_as_it_was_told(standing: Standing) -> None:
    stood = replace(standing, since=stamped(standing, standing, now=NOON))
    assert reads(told(standing), stood)
    more = replace(stood, restarts=stood.restarts + 1)
    assert not reads(told(standing), more)


def test_another_writers_word_about_readiness_is_noticed() -> None:
    ready = Standing(state=RUNS, begun=True, ready=True)
    stood = replace(ready, since=stamped(ready, ready, now=NOON))
    assert not reads(told(replace(ready, ready=False)), stood)


def test_a_process_that_ended_with_its_kubelet_is_the_last_run_of_the_next_one() -> None:
    before = Standing(state=RUNS, begun=True, ready=True, restarts=4)
    after = taken_over(told(before), now=LATER)
    assert (after.state, after.restarts, after.begun, after.ready) == (Waiting(), 5, True, False)
    assert after.last is not None
    assert (after.last.exit_code, after.last.since, after.last.until) == (137, NOON, LATER)
    assert after.since["Ready"] == ("True", NOON)


def test_who_waited_for_its_next_run_gets_it_and_keeps_its_last_words() -> None:
    waits = Standing(state=Waiting(reason="CrashLoopBackOff"), last=CRASHED, begun=True, restarts=2)
    after = taken_over(told(waits), now=LATER)
    assert (after.restarts, after.last) == (3, CRASHED)


def test_a_pod_of_which_nothing_was_told_begins() -> None:
    assert taken_over(POD, now=NOON) == Standing()
    never_ran = taken_over(told(Standing(state=Waiting(reason="ErrImagePull"))), now=LATER)
    assert (never_ran.restarts, never_ran.begun) == (0, False)


def test_a_back_off_names_the_probe_that_ended_the_process() -> None:
    said = "back-off 0.4s restarting failed container=main pod=p_n"
    assert backing_off(POD, wait_s=0.4, why="").message == said
    probed = backing_off(POD, wait_s=0.4, why="the probe failed")
    assert probed.message == f"the probe failed; {said}"


def test_an_image_that_stays_away_is_backed_off_from() -> None:
    assert unpulled(POD, "unknown", times=1) == Waiting(reason="ErrImagePull", message="unknown")
    assert unpulled(POD, "unknown", times=2) == Waiting(
        reason="ImagePullBackOff", message='Back-off pulling image "x": unknown'
    )
