"""What holds of every evaluation, whatever the inputs are."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.scaling import Changed, Inputs, LoadInput, PodInput, Wanted
from midstage.hpa.decide.evaluate import evaluate
from midstage.testkit.clock import NOON

pytestmark = pytest.mark.slow
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

counts = st.integers(1, 1000)
past = st.floats(-5, 4000).map(lambda seconds: NOON - timedelta(seconds=seconds))
recent = st.floats(0, 9).map(lambda seconds: NOON - timedelta(seconds=seconds))
figures = st.one_of(st.floats(0, 1e5), st.floats(allow_nan=True, allow_infinity=True), st.just(0.0))
targets = st.one_of(st.none(), st.floats(0, 1e6, exclude_min=True))
rates = st.builds(
    Rate, pods=st.integers(0, 1000), percent=st.floats(0, 10_000), period_s=st.floats(1, 3600)
)
policies = st.builds(
    lambda bounds, **rest: Policy(min=min(bounds), max=max(bounds), **rest),
    st.tuples(counts, counts),
    targets=st.builds(
        Targets,
        requests_per_s=targets,
        concurrency=targets,
        cpu=st.one_of(st.none(), st.floats(0, 10, exclude_min=True)),
    ),
    tolerance=st.floats(0, 1),
    stabilise_up_s=st.floats(0, 3600),
    stabilise_down_s=st.floats(0, 3600),
    up=rates,
    down=rates,
)
pods = st.lists(
    st.builds(
        PodInput,
        name=st.just("pod"),
        ready=st.booleans(),
        cpu=st.one_of(st.none(), figures),
        cpu_requested=st.one_of(figures, st.just(1.0)),
        cpu_at=st.one_of(st.none(), past),
    ),
    max_size=6,
).map(tuple)
loads = st.builds(
    LoadInput,
    until=st.one_of(st.none(), past, recent),
    requests_per_s=st.one_of(st.none(), figures),
    gauged_until=st.one_of(st.none(), past, recent),
    concurrency=st.one_of(st.none(), figures),
)
wants = st.lists(st.builds(Wanted, at=past, replicas=st.integers(0, 10**6)), max_size=4).map(tuple)
changes = st.lists(st.builds(Changed, at=past, before=counts, after=counts), max_size=4).map(tuple)
any_inputs = st.builds(
    Inputs,
    app=st.just("chat"),
    now=st.just(NOON),
    policy=policies,
    spec_version=st.just(1),
    current=st.integers(0, 1000),
    load=loads,
    pods=pods,
    cluster_at=st.one_of(st.none(), past, recent),
    wants=wants,
    changes=changes,
    initial=st.integers(0, 1000),
)


@some
@given(any_inputs)
def test_the_bounds_hold(of: Inputs) -> None:
    assert of.policy.min <= evaluate(of).replicas <= of.policy.max


@some
@given(any_inputs)
def test_without_any_valid_input_nothing_shrinks(of: Inputs) -> None:
    evaluation = evaluate(of)
    if evaluation.want is None:
        assert evaluation.replicas >= min(of.current, of.policy.max)


@some
@given(any_inputs)
def test_with_some_input_unknown_nothing_shrinks(of: Inputs) -> None:
    evaluation = evaluate(of)
    if any(each.want is None for each in evaluation.proposals):
        assert evaluation.replicas >= min(of.current, of.policy.max)


@some
@given(any_inputs)
def test_while_the_cluster_is_unknown_nothing_shrinks(of: Inputs) -> None:
    evaluation = evaluate(msgspec.structs.replace(of, cluster_at=None))
    assert evaluation.replicas >= min(of.current, of.policy.max)


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
def test_every_figure_is_one(of: Inputs) -> None:
    for each in evaluate(of).proposals:
        if each.want is not None:
            assert each.exact is not None
            assert 0 <= each.exact <= 1_000_000
            assert each.exact <= each.want <= each.exact + 1 or each.want == round(each.exact)


@some
@given(any_inputs, st.floats(0, 1e5), st.floats(0, 1e5))
def test_more_load_never_gives_fewer_replicas(of: Inputs, one: float, other: float) -> None:
    def count(carried: float) -> int:
        load = LoadInput(
            until=NOON,
            requests_per_s=carried,
            gauged_until=of.load.gauged_until,
            concurrency=of.load.concurrency,
        )
        return evaluate(msgspec.structs.replace(of, load=load)).replicas

    assert count(min(one, other)) <= count(max(one, other))


@some
@given(any_inputs)
def test_what_was_decided_is_not_decided_again_at_once(of: Inputs) -> None:
    """Without a window to wait for, the count that was just reached stays."""
    free = Rate(pods=1000, percent=10_000)
    policy = msgspec.structs.replace(
        of.policy, stabilise_up_s=0, stabilise_down_s=0, up=free, down=free, tolerance=0.0
    )
    still = msgspec.structs.replace(
        of, policy=policy, wants=(), changes=(), pods=(), cluster_at=NOON
    )
    first = evaluate(still).replicas
    assert evaluate(msgspec.structs.replace(still, current=first)).replicas == first
