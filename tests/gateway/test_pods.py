"""Which pods get requests, who is kept in sight, and what odd pods do to others: nothing."""

import msgspec
import pytest

from midstage.contracts.cluster import Phase, PodObserved
from midstage.gateway.decide.pods import pods

from .deployment import pod


@pytest.mark.parametrize(
    ("observed", "out", "ending"),
    [
        (pod("p"), False, False),
        (pod("p", draining=True), True, True),
        (pod("p", ready=False), True, False),
        (pod("p", ready=False, phase=Phase.BACKOFF), True, False),
        (pod("p", phase=Phase.LOST), True, False),  # its last word was "ready"
        (pod("p", phase=Phase.STOPPING), True, True),
        (pod("p", ready=False, draining=True, phase=Phase.STARTING, was_ready=False), True, True),
    ],
)
def test_who_serves_and_who_is_kept_in_sight(
    observed: PodObserved, out: bool, ending: bool
) -> None:
    (replica,) = pods([observed]).replicas

    assert (replica.out, replica.ending) == (out, ending)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.STARTING, Phase.BACKOFF, Phase.LOST])
def test_a_pod_that_never_was_ready_never_gets_in(phase: Phase) -> None:
    assert pods([pod("p", ready=False, phase=phase, was_ready=False)]).replicas == ()


def test_a_pod_that_ends_before_it_has_an_address_is_named() -> None:
    pending = pod("p", ready=False, draining=True, phase=Phase.PENDING, address="", was_ready=False)
    found = pods([pending])

    assert [one.pod for one in found.homeless] == ["p"]
    assert (found.replicas, found.refused) == ((), ())


@pytest.mark.parametrize(
    "address",
    [
        "nowhere",
        "localhost:80",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "[::1",
        ":80",
        "x" * 999,
    ],
)
def test_a_pod_at_no_address_is_left_out_alone(address: str) -> None:
    found = pods([pod("bad", address=address), pod("good")])

    assert [one.pod for one in found.replicas] == ["good"]
    assert "bad" in found.refused[0]


def test_of_two_pods_at_one_address_the_newer_one_has_it() -> None:
    found = pods([pod("new", version=5), pod("old", version=4)])

    assert [one.pod for one in found.replicas] == ["new"]
    assert "old" in found.refused[0]


def test_a_pod_s_endless_words_do_not_go_into_each_line_of_the_request_log() -> None:
    (replica,) = pods([msgspec.structs.replace(pod("p"), revision="r" * 100_000)]).replicas

    assert len(replica.revision) == 256
