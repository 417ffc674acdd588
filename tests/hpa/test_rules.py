"""What each rule proposes, and when it knows nothing."""

from datetime import timedelta

import pytest

from midstage.contracts.policy import Targets
from midstage.contracts.scaling import Inputs, Proposal
from midstage.hpa.decide.rules import concurrency, cpu, proposals, requests_per_s
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load, pods, policy


def test_requests_are_shared_by_replicas() -> None:
    said = requests_per_s(inputs(load=load(requests_per_s=43)), 10)
    assert (said.want, said.exact, said.carried) == (5, 4.3, 43)
    assert said.reason == "43 requests/s together, 10 each"


def test_what_is_in_flight_and_pending_is_shared_by_replicas() -> None:
    said = concurrency(inputs(load=load(concurrency=20), pods=pods(2, starting=2)), 10)
    assert (said.want, said.ready_ratio) == (2, 1.0)


@pytest.mark.parametrize(("carried", "want"), [(30.0, 3), (30.000000001, 3), (30.001, 4), (0.0, 0)])
def test_float_noise_orders_no_replica(carried: float, want: int) -> None:
    assert concurrency(inputs(load=load(concurrency=carried)), 10).want == want
    assert concurrency(inputs(load=load(concurrency=0.1 + 0.2)), 0.1).want == 3


def test_load_that_is_missing_or_old_is_unknown_not_zero() -> None:
    assert nothing(requests_per_s(inputs(), 10), "load is not known")
    old = load(requests_per_s=5, concurrency=5, age_s=10.5)
    assert nothing(requests_per_s(inputs(load=old), 10), "load was seen 10 s ago")
    assert nothing(concurrency(inputs(load=old), 10), "what is in flight was seen 10 s ago")
    assert requests_per_s(inputs(load=load(requests_per_s=5, age_s=10)), 10).want == 1


@pytest.mark.parametrize("absurd", [float("nan"), float("inf"), -1.0])
def test_what_is_no_measurement_is_unknown(absurd: float) -> None:
    assert requests_per_s(inputs(load=load(requests_per_s=absurd)), 10).want is None
    assert cpu(inputs(pods=pods(2, cpu=absurd)), 0.5, 4).want is None


def test_a_tiny_target_wants_many_but_not_infinitely_many() -> None:
    assert requests_per_s(inputs(load=load(requests_per_s=1e12)), 5e-324).want == 1_000_000


def test_cpu_goes_by_the_share_of_the_request() -> None:
    said = cpu(inputs(pods=pods(4, cpu=0.9)), 0.6, 4)
    assert (said.want, said.carried, round(said.exact or 0, 9)) == (6, 0.9, 6.0)
    assert said.reason == "4 ready pods use 0.9 of their request, 0.6 each"


def test_a_starting_pod_is_idle_capacity_to_the_cpu_rule() -> None:
    """4 carry 1.5 times their target: 6 are enough, and 2 are coming already."""
    said = cpu(inputs(current=6, pods=pods(4, starting=2, cpu=0.9)), 0.6, 6)
    assert said.want == 6


def test_an_unmeasured_pod_counts_as_idle_when_growing() -> None:
    """HPA v2: 2 measured at 1.5 times the target and 2 at 0 are 0.75: the direction would turn."""
    said = cpu(inputs(pods=pods(2, cpu=0.9, unmeasured=2)), 0.6, 4)
    assert (said.want, round(said.ready_ratio or 0, 9)) == (3, 1.5)
    assert said.reason.endswith("2 not measured, counted as idle")


def test_an_unmeasured_pod_counts_as_busy_when_shrinking() -> None:
    """2 use 0.1 each, 1 is guessed to use all of its core: 1.2 cores by 0.6 each."""
    said = cpu(inputs(pods=pods(2, cpu=0.1, unmeasured=1)), 0.6, 4)
    assert said.want == 2
    assert said.reason.endswith("1 not measured, counted as busy")


def test_a_guess_never_turns_the_direction() -> None:
    """2 at half their target, 2 guessed at full: 4.3 would be more than the 4 there are."""
    assert cpu(inputs(pods=pods(2, cpu=0.3, unmeasured=2)), 0.6, 4).want == 4


def test_cpu_figures_that_are_missing_or_old_are_unknown() -> None:
    assert nothing(cpu(inputs(pods=pods(3)), 0.6, 4), "none of 3 ready pods has a CPU figure")
    assert nothing(cpu(inputs(pods=pods(3, cpu=0.1, age_s=31)), 0.6, 4), "none of 3 ready pods")
    assert nothing(cpu(inputs(pods=pods(0, starting=3)), 0.6, 4), "none of 0 ready pods")
    assert cpu(inputs(pods=pods(3, cpu=0.1, age_s=30)), 0.6, 4).want == 1


@pytest.mark.parametrize("absurd", [0.0, -1.0, 1e308, float("inf"), float("nan")])
def test_a_pod_with_an_absurd_request_is_not_reckoned_with(absurd: float) -> None:
    broken = pods(3, cpu=0.1, requested=absurd, unmeasured=2)
    assert nothing(cpu(inputs(pods=broken), 0.6, 4), "none of 0 ready")
    assert cpu(inputs(pods=(*broken, *pods(1, cpu=0.3))), 0.6, 4).want == 1


def test_cpu_is_unknown_while_the_cluster_is() -> None:
    measured = pods(3, cpu=0.1)
    away = inputs(pods=measured, cluster_at=None)
    silent = inputs(pods=measured, cluster_at=NOON - timedelta(seconds=31))
    assert nothing(cpu(away, 0.6, 4), "the cluster can't be asked")
    assert nothing(cpu(silent, 0.6, 4), "the cluster was reached 31 s ago")


def test_each_target_has_its_rule() -> None:
    def rules(of: Inputs) -> list[str]:
        return [each.rule.value for each in proposals(of, 4)]

    targets = Targets(requests_per_s=1, concurrency=1, cpu=0.5)
    assert rules(inputs(policy=policy(targets=targets))) == ["requests/s", "concurrency", "cpu"]
    assert rules(inputs(policy=policy(targets=Targets(cpu=0.5)))) == ["cpu"]
    assert rules(inputs(policy=policy(targets=Targets()))) == []


def nothing(said: Proposal, reason: str) -> bool:
    assert said.reason.startswith(reason), said.reason
    return said.want is None and said.exact is None and said.carried is None
