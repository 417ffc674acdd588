"""What holds of every evaluation, whatever the inputs are."""

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from midstage.contracts.policy import Fallback, Rate
from midstage.contracts.scaling import Inputs, KnativeInput, LoadInput
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON
from tests.hpa.strategies import any_inputs

pytestmark = pytest.mark.slow
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@some
@given(any_inputs)
def test_the_bounds_hold(of: Inputs) -> None:
    assert of.policy.min <= evaluate(of).replicas <= of.policy.max


@some
@given(any_inputs)
def test_with_some_input_unknown_nothing_shrinks_but_to_a_bound(of: Inputs) -> None:
    of = without_bounds_by_the_clock(of)
    evaluation = evaluate(of)
    if any(each.want is None for each in evaluation.proposals):
        assert evaluation.replicas >= min(of.current, of.policy.max)


@some
@given(any_inputs)
def test_while_the_cluster_is_unknown_nothing_shrinks_but_to_a_bound(of: Inputs) -> None:
    of = without_bounds_by_the_clock(msgspec.structs.replace(of, cluster_at=None))
    assert evaluate(of).replicas >= min(of.current, of.policy.max)


@some
@given(any_inputs)
def test_the_same_inputs_give_the_same_bytes(of: Inputs) -> None:
    first = msgspec.json.encode(evaluate(of))
    assert msgspec.json.encode(evaluate(of)) == first


@some
@given(any_inputs)
def test_an_evaluation_is_made_again_from_what_the_wire_keeps(of: Inputs) -> None:
    """NaN and infinity are no JSON: they become null, so the fold must never make them inputs."""
    stored = msgspec.json.encode(evaluate(of))
    try:
        kept = msgspec.json.decode(msgspec.json.encode(of), type=Inputs)
    except msgspec.ValidationError:
        reject()  # such a number was null where there must be one
    assume(kept == of)
    assert msgspec.json.encode(evaluate(kept)) == stored


@some
@given(any_inputs)
def test_no_figure_that_is_none_survives(of: Inputs) -> None:
    evaluation = evaluate(of)
    for each in evaluation.proposals:
        assert each.want is None or 0 <= each.want <= 1_000_000
        for figure in (each.carried, each.exact, each.ready_ratio):
            assert figure is None or 0 <= figure < float("inf")


@some
@given(any_inputs, st.floats(0, 1e5), st.floats(0, 1e5))
def test_more_load_never_gives_fewer_replicas(of: Inputs, one: float, other: float) -> None:
    def count(carried: float) -> int:
        knative = KnativeInput(until=NOON, stable=carried, panic=carried)
        load = LoadInput(
            until=NOON,
            requests_per_s=carried,
            gauged_until=of.load.gauged_until,
            concurrency=of.load.concurrency,
        )
        return evaluate(msgspec.structs.replace(of, load=load, knative=knative)).replicas

    assert count(min(one, other)) <= count(max(one, other))


@some
@given(any_inputs)
def test_what_was_decided_is_not_decided_again_at_once(of: Inputs) -> None:
    """Without a window to wait for, the count that was just reached stays."""
    free = Rate(pods=1000, percent=10_000)
    policy = msgspec.structs.replace(
        of.policy,
        behavior=None,
        stabilise_up_s=0,
        stabilise_down_s=0,
        up=free,
        down=free,
        tolerance=0.0,
    )
    still = msgspec.structs.replace(
        of,
        policy=policy,
        current=min(max(of.current, policy.min), policy.max),  # else it goes to a bound first
        wants=(),
        changes=(),
        pods=(),
        cluster_at=NOON,
    )
    first = evaluate(still).replicas
    assert evaluate(msgspec.structs.replace(still, current=first)).replicas == first


def without_bounds_by_the_clock(of: Inputs) -> Inputs:
    """And without a fallback that lowers: what a team says itself holds even then."""
    policy = msgspec.structs.replace(of.policy, timed=(), fallback=Fallback(at_least=1))
    return msgspec.structs.replace(of, policy=policy)
