"""What each rule proposes by totals and by use, and when it knows nothing."""

from datetime import timedelta

import msgspec
import pytest

from midstage.contracts.policy import Targets
from midstage.contracts.scaling import Inputs, Proposal
from midstage.hpa.decide.rules import proposals
from midstage.hpa.decide.rules.resources import used
from midstage.hpa.decide.rules.totals import concurrency, requests_per_s
from midstage.testkit.clock import NOON
from tests.hpa.engine import inputs, load, pods, policy


def cpu(of: Inputs, share: float, current: int = 4) -> Proposal:
    return used(of, "cpu", share, current)


def test_requests_are_shared_by_replicas() -> None:
    said = requests_per_s(inputs(load=load(requests_per_s=53)), 10, 4)
    assert (said.want, said.exact, said.carried) == (6, 5.3, 53)
    assert said.reason == "53 requests/s together, 10 each"


def test_what_is_in_flight_and_pending_is_shared_by_replicas() -> None:
    said = concurrency(inputs(load=load(concurrency=20), pods=pods(2, starting=2)), 10, 4)
    assert (said.want, said.ready_ratio) == (2, 1.0)


@pytest.mark.parametrize(("carried", "want"), [(30.0, 3), (30.000000001, 3), (30.001, 4), (0.0, 0)])
def test_float_noise_orders_no_replica(carried: float, want: int) -> None:
    exactly = inputs(policy=policy(tolerance=0.0), load=load(concurrency=carried))
    assert concurrency(exactly, 10, 9).want == want
    assert concurrency(inputs(load=load(concurrency=0.1 + 0.2)), 0.1, 9).want == 3


@pytest.mark.parametrize(
    ("carried", "want"), [(35.9, 4), (36.0, 4), (44.0, 4), (44.1, 5), (30.0, 3), (31.0, 4)]
)
def test_near_its_target_a_rule_wants_what_there_is(carried: float, want: int) -> None:
    assert concurrency(inputs(load=load(concurrency=carried)), 10, 4).want == want


def test_tolerance_says_how_far_off() -> None:
    said = concurrency(inputs(load=load(concurrency=42)), 10, 4)
    assert said.reason.endswith("10 each; 5 % off is within the tolerance")


def test_load_that_is_missing_or_old_is_unknown_not_zero() -> None:
    assert nothing(requests_per_s(inputs(), 10, 4), "load is not known")
    old = load(requests_per_s=5, concurrency=5, age_s=10.5)
    assert nothing(requests_per_s(inputs(load=old), 10, 4), "load was seen 10 s ago")
    assert nothing(concurrency(inputs(load=old), 10, 4), "what is in flight was seen 10 s ago")
    assert requests_per_s(inputs(load=load(requests_per_s=5, age_s=10)), 10, 4).want == 1


@pytest.mark.parametrize("absurd", [float("nan"), float("inf"), -1.0])
def test_what_is_no_measurement_is_unknown(absurd: float) -> None:
    assert requests_per_s(inputs(load=load(requests_per_s=absurd)), 10, 4).want is None
    assert cpu(inputs(pods=pods(2, cpu=absurd)), 0.5).want is None


def test_a_target_of_a_millionth_is_one() -> None:
    assert concurrency(inputs(load=load(concurrency=5e-6)), 1e-6, 1).want == 5


def test_a_tiny_target_wants_many_but_not_infinitely_many() -> None:
    assert requests_per_s(inputs(load=load(requests_per_s=1e12)), 5e-324, 4).want == 1_000_000


def test_cpu_goes_by_the_share_of_the_request() -> None:
    said = cpu(inputs(pods=pods(4, cpu=0.9)), 0.6)
    assert (said.want, said.carried, said.target) == (6, 0.9, 0.6)
    assert said.reason == "the ready pods use 90 % of their request, 60 % wanted"


def test_a_starting_pod_is_idle_capacity_to_the_cpu_rule() -> None:
    """4 carry 1.5 times their target, 2 are coming: with these they carry just what they should."""
    assert cpu(inputs(current=6, pods=pods(4, starting=2, cpu=0.9)), 0.6, 6).want == 6


def test_an_unmeasured_pod_counts_as_idle_when_growing() -> None:
    """2 measured at 1.5 times the target and 2 at 0 are 0.75: the direction would turn."""
    said = cpu(inputs(pods=pods(2, cpu=0.9, unmeasured=2)), 0.6)
    assert (said.want, round(said.ready_ratio or 0, 9)) == (4, 1.5)


def test_an_unmeasured_pod_counts_as_busy_when_shrinking() -> None:
    """2 use 0.1 each, 1 is guessed to use all of its core: 40 % of 3, 60 % wanted."""
    assert cpu(inputs(pods=pods(2, cpu=0.1, unmeasured=1)), 0.6).want == 2


def test_who_is_allowed_more_than_it_requests_may_use_as_much_unmeasured() -> None:
    """3 at 100 % and 1 guessed at 300 % are half of the target: 2 pods, and not 150 / 300 of 4."""
    assert cpu(inputs(pods=pods(3, cpu=1.0, unmeasured=1)), 3.0).want == 2
    assert cpu(inputs(pods=pods(3, cpu=2.0, unmeasured=1)), 3.0).want == 3


def test_a_guess_never_turns_the_direction() -> None:
    """2 at half their target, 2 guessed at full: 4.3 would be more than the 4 there are."""
    assert cpu(inputs(pods=pods(2, cpu=0.3, unmeasured=2)), 0.6).want == 4


def test_use_that_is_missing_or_old_is_unknown() -> None:
    assert nothing(cpu(inputs(pods=pods(3)), 0.6), "no ready pod is measured")
    assert nothing(cpu(inputs(pods=pods(3, cpu=0.1, age_s=31)), 0.6), "no ready pod is measured")
    assert nothing(cpu(inputs(pods=pods(0, starting=3)), 0.6), "no ready pod is measured")
    assert nothing(cpu(inputs(pods=()), 0.6), "the workload has no pods")
    assert cpu(inputs(pods=pods(3, cpu=0.1, age_s=30)), 0.6).want == 1


@pytest.mark.parametrize("absurd", [0.0, -1.0, 1e308, float("inf"), float("nan")])
def test_a_pod_that_requests_nothing_makes_the_share_unknown(absurd: float) -> None:
    [broken] = pods(1, cpu=0.1, requested=absurd)
    broken = msgspec.structs.replace(broken, name="broken")
    of = inputs(pods=(*pods(3, cpu=0.3), broken))
    assert nothing(cpu(of, 0.6), "broken requests nothing of the resource")


@pytest.mark.parametrize(("ready_s", "want"), [(10, 3), (16, 3), (18, 7)])
def test_a_starting_pod_counts_once_it_was_measured_after_its_start(
    ready_s: float, want: int
) -> None:
    """Until then its cores are those of its start, though it is ready: 4.0 is no load."""
    [fresh] = pods(1, cpu=4.0)
    began = msgspec.structs.replace(
        fresh,
        name="fresh",
        started_at=NOON - timedelta(seconds=60),
        ready_at=NOON - timedelta(seconds=ready_s),
    )
    assert cpu(inputs(pods=(*pods(4, cpu=0.6), began)), 1.0).want == want


def test_a_pod_counts_when_its_whole_figure_is_of_after_its_start() -> None:
    """A figure of 5 s ago is of the 15 s before."""
    started, ready = NOON - timedelta(seconds=100), NOON - timedelta(seconds=20.5)
    [young] = [
        msgspec.structs.replace(
            each, started_at=started, ready_at=ready, cpu_at=NOON - timedelta(seconds=5)
        )
        for each in pods(1, cpu=0.9)
    ]
    assert cpu(inputs(pods=(young,)), 0.3, current=1).want == 3


def test_pods_of_one_name_in_two_clusters_are_two() -> None:
    assert cpu(inputs(pods=(*pods(2, cpu=0.9), *pods(2, cpu=0.9))), 0.6).want == 6


def test_cpu_is_unknown_while_the_cluster_is() -> None:
    measured = pods(3, cpu=0.1)
    away = inputs(pods=measured, cluster_at=None)
    silent = inputs(pods=measured, cluster_at=NOON - timedelta(seconds=31))
    assert nothing(cpu(away, 0.6), "the cluster can't be asked")
    assert nothing(cpu(silent, 0.6), "the cluster was reached 31 s ago")


def test_each_target_has_its_rule() -> None:
    def rules(of: Inputs) -> list[str]:
        return [each.rule.value for each in proposals(of, 4)[0]]

    targets = Targets(requests_per_s=1, concurrency=1, cpu=0.5)
    assert rules(inputs(policy=policy(targets=targets))) == ["requests/s", "concurrency", "cpu"]
    assert rules(inputs(policy=policy(targets=Targets(cpu=0.5)))) == ["cpu"]
    others = Targets(memory=0.5, gpu=0.5, gpu_memory=0.5)
    assert rules(inputs(policy=policy(targets=others))) == ["memory", "gpu", "gpu memory"]
    assert rules(inputs(policy=policy(targets=Targets()))) == []


def nothing(said: Proposal, reason: str) -> bool:
    assert said.reason.startswith(reason), said.reason
    return said.want is None and said.exact is None and said.carried is None
