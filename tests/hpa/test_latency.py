"""P99 and time to first token through what a replica carries: learned, used, and left alone."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET

from midstage.contracts import sketch
from midstage.contracts.capacity import CapacityInput, CapacitySample, Latency, Learned, Level
from midstage.contracts.load import LoadObserved
from midstage.contracts.scaling import Inputs, PodInput, Proposal, Rule
from midstage.hpa.decide.capacity import capacity, learned
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.rules.latency import latency
from midstage.hpa.views.latencies import Latencies
from midstage.testkit.clock import NOON
from tests.hpa.engine import changed, inputs, load, policy, warm

SECOND = timedelta(seconds=1)
TARGET = 500.0


def level(each: float, p99_ms: float, weight: float = 20.0) -> Level:
    return Level(load=each, p99_ms=p99_ms, residence_s=0.1, weight=weight)


KNOWN = (level(5, 200), level(10, 10_000))
"""A replica that serves 10/s at most: 7.5/s within 80 % of 500 ms."""


def sample(each: float, ready: int, p99_ms: float | None, ago_s: float = 5) -> CapacitySample:
    requests = round(each * ready * 15)
    return CapacitySample(
        until=NOON - ago_s * SECOND,
        seconds=15,
        requests=requests,
        concurrency=each * ready * 0.1,
        p99_ms=p99_ms,
    )


def asked(
    coming: float = 20,
    *,
    levels: tuple[Level, ...] = KNOWN,
    in_flight: float = 2,
    growth: float | None = 0,
    p99_ms: float | None = 200,
    **changed: Any,
) -> Inputs:
    samples = (sample(5, 4, p99_ms),)
    held = CapacityInput(
        samples=samples,
        in_flight=in_flight,
        growth_per_s=growth,
        learned=Learned(until=samples[-1].until, p99=levels),
    )
    return inputs(
        **{
            "policy": policy(
                targets=policy().targets.__class__(), latency=Latency(p99_ms=TARGET), max=100
            ),
            "load": load(requests_per_s=coming, concurrency=in_flight),
            "pods": warm(4),
            "capacity": held,
            **changed,
        }
    )


def proposed(of: Inputs) -> Proposal:
    [found] = evaluate(of).proposals
    return found


def test_it_wants_what_carries_the_load_within_four_fifths_of_the_target() -> None:
    found = proposed(asked(75))
    assert (found.rule, found.want) == (Rule.P99, 10)
    assert found.exact == pytest.approx(10, rel=0.01)


def test_a_queue_is_worked_off_in_time() -> None:
    assert proposed(asked(75, in_flight=2_000)).want == 12


def test_what_a_queue_hides_from_what_ends_is_load_too() -> None:
    assert proposed(asked(40, growth=35)).want == 10


def test_replicas_that_start_are_capacity_that_comes() -> None:
    of = asked(75, current=10, pods=warm(4, 6), p99_ms=20_000)
    assert proposed(of).want == 10


def test_growth_beyond_all_figures_is_not_known() -> None:
    assert proposed(asked(20, growth=1e12)).want is None
    assert proposed(asked(20, growth=-1e12)).want is None
    assert proposed(asked(20, growth=1e12 - 0.5)).want == 1_000_000


def test_no_less_than_nothing_comes() -> None:
    assert proposed(asked(5, growth=-10)).reason.startswith("0 requests/s come;")


def test_the_newest_sample_says_whether_it_is_too_slow() -> None:
    held = CapacityInput(
        samples=(sample(5, 4, 900, ago_s=20), sample(5, 4, 200)),
        in_flight=2,
        growth_per_s=0,
        learned=Learned(until=NOON, p99=KNOWN),
    )
    assert proposed(asked(7, capacity=held)).want == 1


def test_from_none_the_first_step_is_one() -> None:
    [found] = latency(asked(levels=(), p99_ms=900), 0, Learned())
    assert found.want == 1


def test_where_nothing_is_asked_or_learned_nothing_is_proposed() -> None:
    assert list(latency(asked(), 4, UNSET)) == []
    assert list(latency(inputs(), 4, Learned())) == []


def test_a_latency_however_high_is_no_ratio() -> None:
    assert proposed(asked(20, p99_ms=1e6)).want == 4


def test_while_it_is_too_slow_nothing_is_lowered() -> None:
    assert proposed(asked(7, p99_ms=600)).want == 4
    assert proposed(asked(7, p99_ms=500)).want == 1
    assert proposed(asked(7, p99_ms=300)).want == 1


@pytest.mark.parametrize(
    "unknown",
    [
        {"growth": None},
        {"load": load(requests_per_s=20)},
        {"load": load(requests_per_s=20, concurrency=2, age_s=60)},
        {"capacity": UNSET},
        {"growth": float("inf")},
    ],
)
def test_without_its_input_it_says_so(unknown: dict[str, Any]) -> None:
    found = proposed(asked(**unknown))
    assert (found.want, found.exact) == (None, None)
    assert evaluate(asked(**unknown)).replicas == 4


def test_of_too_few_samples_it_does_not_lower_and_raises_by_a_quarter_at_most() -> None:
    few = (level(5, 200, 1.0),)
    assert proposed(asked(7, levels=few)).want is None
    assert proposed(asked(500, levels=few)).want == 5


def test_one_step_waits_until_the_last_one_tells_something() -> None:
    assert proposed(asked(20, levels=(), p99_ms=900)).want == 5
    assert proposed(asked(20, levels=(), p99_ms=900, pods=warm(3, 1))).want == 4
    assert proposed(asked(20, levels=(), p99_ms=900, pods=warm(4, since_s=40))).want == 4


def test_where_less_load_did_not_help_more_replicas_are_not_ordered() -> None:
    never = (level(2, 900), level(5, 905))
    found = proposed(asked(20, levels=never, p99_ms=900))
    assert found.want is None
    assert "did not make it faster" in found.reason


def test_between_two_levels_it_follows_the_queue() -> None:
    found = capacity((level(5, 200), level(9, 1000)), TARGET)
    assert found is not None
    assert found.load == pytest.approx(7.5)


def test_past_the_highest_level_it_goes_a_bounded_step() -> None:
    near, far = capacity((level(5, 390),), TARGET), capacity((level(5, 1),), TARGET)
    assert near is not None
    assert far is not None
    assert 5 < near.load < 5.05
    assert 6 < far.load <= 6.25


def taught(of: Inputs, *samples: CapacitySample) -> tuple[Level, ...]:
    held = CapacityInput(samples=samples)
    found = learned(inputs(policy=of.policy, pods=of.pods, capacity=held, changes=of.changes))
    assert found is not UNSET
    return found.p99


def test_each_sample_counts_once() -> None:
    one = sample(5, 4, 200)
    of = asked(capacity=CapacityInput(samples=(one,)))
    first = evaluate(of).learned
    assert first is not UNSET
    assert first.p99 == (level(5, 200, 1.0),)
    again = asked(capacity=CapacityInput(samples=(one,), learned=first))
    assert evaluate(again).learned == first


@pytest.mark.parametrize(
    "cold",
    [
        {"pods": warm(4, since_s=40)},
        {"pods": (PodInput(name="pod", ready=True),)},
        {"changes": (changed(30, 5, 4),)},
    ],
)
def test_nothing_is_learned_of_cold_or_unknown_replicas(cold: dict[str, Any]) -> None:
    assert taught(asked(), sample(5, 4, 200))
    assert taught(asked(**cold), sample(5, 4, 200)) == ()


def test_who_became_ready_after_a_block_has_no_part_in_it() -> None:
    pods = (*warm(2), PodInput(name="new", ready=True, ready_at=NOON - SECOND))
    [found] = taught(asked(pods=pods), sample(5, 2, 200))
    assert found.load == 5


def test_a_service_that_becomes_slower_is_learned_anew() -> None:
    known: Learned | None = Learned(p99=(level(4, 150, 40.0), level(6, 200, 40.0)))
    for _ in range(60):
        one = sample(4, 4, 900, ago_s=0)
        held = CapacityInput(samples=(one,), learned=known)
        of = asked(capacity=held)
        known = learned(of) or None
        assert known is not None
        known = Learned(p99=known.p99)
    assert capacity(known.p99 if known else (), TARGET) is None


def test_what_is_learned_stays_small() -> None:
    samples = [sample(1.1**n, 4, 10.0 * n + 1) for n in range(60)]
    known = Learned()
    for one in samples:
        held = CapacityInput(samples=(one,), learned=Learned(p99=known.p99))
        found = learned(asked(capacity=held))
        assert found is not UNSET
        known = found
    assert len(known.p99) <= 20


def said(number: int, **of: Any) -> LoadObserved:
    at = NOON + number * SECOND
    return LoadObserved(
        **{
            "app": "chat",
            "second": at,
            "shard": 0,
            "shards": 1,
            "complete_until": at + SECOND,
            "outcomes": {"ok": 20},
            "in_flight": 4,
            "pending": 0,
            "latency_ms": sketch.packed(sketch.sketch([100.0 + number] * 20)),
            **of,
        }
    )


def blocks(*facts: LoadObserved) -> tuple[CapacitySample, ...]:
    view = Latencies()
    for fact in facts:
        view.apply(fact)
    return view.of("chat", NOON + 20 * SECOND)


def test_a_block_closes_when_it_is_complete() -> None:
    assert blocks(*map(said, range(17))) == ()
    [block] = blocks(*map(said, range(19)))
    assert (block.seconds, block.requests, block.concurrency) == (15, 300, 4.0)
    assert block.p99_ms == pytest.approx(114, rel=0.02)
    assert block.ttft_p99_ms is None


def test_seconds_with_errors_are_left_out_and_too_few_are_no_block() -> None:
    wrong = {"outcomes": {"ok": 20, "error": 1}}
    [block] = blocks(*(said(n, **(wrong if n < 5 else {})) for n in range(19)))
    assert block.seconds == 10
    assert blocks(*(said(n, **(wrong if n < 6 else {})) for n in range(19))) == ()


def test_a_missing_shard_is_unknown() -> None:
    assert blocks(*(said(n, shards=2) for n in range(19))) == ()
    both = [said(n, shards=2, shard=shard) for n in range(19) for shard in (0, 1)]
    [block] = blocks(*both, *both)
    assert block.requests == 600


def test_a_block_in_which_a_queue_ends_says_nothing() -> None:
    assert blocks(*(said(n, pending=100 if n < 4 else 0) for n in range(19))) == ()
    assert blocks(*(said(n, pending=10 * n) for n in range(19)))


@pytest.mark.parametrize("odd", [0.0, -1.0, float("inf"), float("nan")])
def test_a_level_that_nobody_wrote_is_left_out(odd: float) -> None:
    """An evaluation must raise nothing, whatever stands in the log."""
    new = CapacityInput(samples=(sample(5, 4, 200),), learned=Learned(p99=(level(odd, 200),)))
    found = learned(asked(20, capacity=new))
    assert isinstance(found, Learned)
    assert [each.load for each in found.p99] == [5.0]
