"""What people order has the last word: which of it, for how long, and what it never does."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstage.contracts.errors import RefusedError
from midstage.contracts.manual import (
    Direction,
    ManualFact,
    Override,
    OverrideLifted,
    OverrideSet,
    Pause,
    ScalingPaused,
    ScalingResumed,
)
from midstage.contracts.policy import Fallback
from midstage.contracts.scaling import Inputs, Quota, ScalingFact, ScalingRemoved
from midstage.contracts.timed import Timed
from midstage.hpa.decide import orders
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.orders import (
    LONGEST_ORDER,
    Command,
    LiftOverride,
    PauseScaling,
    ResumeScaling,
    SetOverride,
)
from midstage.hpa.decide.scaling import decide, ended, evolve
from midstage.hpa.model import Asked, Manual, Scaler
from midstage.hpa.views.world import Standing, World
from midstage.testkit.clock import NOON
from midstage.testkit.decider import Decider
from tests.hpa.engine import FREE, figures, inputs, load, pods, policy, why
from tests.hpa.strategies import any_inputs
from tests.hpa.test_decide import decided

HOUR = timedelta(hours=1)
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
counts = st.none() | st.integers(1, 1000)


def override(least: int | None, most: int | None, **changed: Any) -> Override:
    return Override(
        **{"by": "anna", "why": "", "at": NOON, "until": NOON + HOUR, **changed},
        min=least,
        max=most,
    )


def pause(direction: Direction = Direction.BOTH, **changed: Any) -> Pause:
    return Pause(**{"by": "anna", "at": NOON, "until": NOON + HOUR, **changed}, direction=direction)


BUSY = inputs(load=load(concurrency=80))
IDLE = inputs(load=load(concurrency=10))
UNKNOWN = inputs(load=load())


@pytest.mark.parametrize(
    ("of", "order", "count"),
    [
        (BUSY, override(3, 3), 3),
        (IDLE, override(7, 7), 7),
        (UNKNOWN, override(7, 7), 7),
        (UNKNOWN, override(2, 2), 2),
        (BUSY, override(None, 5), 5),
        (BUSY, override(None, 9), 8),
        (IDLE, override(3, None), 3),
        (IDLE, override(2, 6), 2),
        (IDLE, override(20, 20), 20),  # beyond the policy's maximum of 10
    ],
)
def test_an_override_holds_whatever_rules_and_policy_say(
    of: Inputs, order: Override, count: int
) -> None:
    assert evaluate(msgspec.structs.replace(of, override=order)).replicas == count


def test_an_override_below_the_policys_minimum_holds() -> None:
    of = inputs(policy=policy(min=4), load=load(concurrency=40), override=override(2, 2))
    assert evaluate(of).replicas == 2


def test_an_override_waits_for_no_window_and_no_rate() -> None:
    slow = policy(stabilise_down_s=3600, down=msgspec.structs.replace(FREE, pods=1, percent=0))
    of = inputs(policy=slow, current=9, load=load(concurrency=90), override=override(1, 1))
    made = evaluate(of)
    assert made.replicas == 1
    assert why(made, "manual") == "exactly 1 ordered by anna until 2026-01-01T13:00:00+00:00"


def test_what_the_load_wants_is_remembered_while_it_is_overridden() -> None:
    """So that lifting it has a past to stabilise on, also where it holds outside of the policy."""
    of = inputs(current=20, pods=pods(20), load=load(concurrency=60), override=override(20, 20))
    assert (evaluate(of).want, evaluate(of).replicas) == (6, 20)


@pytest.mark.parametrize(
    ("of", "direction", "count"),
    [
        (BUSY, Direction.UP, 4),
        (BUSY, Direction.DOWN, 8),
        (BUSY, Direction.BOTH, 4),
        (IDLE, Direction.UP, 1),
        (IDLE, Direction.DOWN, 4),
        (IDLE, Direction.BOTH, 4),
    ],
)
def test_a_pause_holds_the_count(of: Inputs, direction: Direction, count: int) -> None:
    made = evaluate(msgspec.structs.replace(of, pause=pause(direction)))
    assert made.replicas == count
    assert ("paused by anna" in why(made, "pause")) == (count == 4)


def test_a_pause_holds_back_the_clock_too() -> None:
    noon = Timed(name="noon", floor=9, begin="11:00", end="13:00")
    of = inputs(policy=policy(timed=(noon,)), load=load(concurrency=40), pause=pause())
    made = evaluate(of)
    assert (figures(made)["timed floor"], made.replicas) == (9, 4)


@pytest.mark.parametrize(
    ("of", "count"),
    [
        (inputs(policy=policy(max=3), load=load(concurrency=40)), 3),
        (inputs(policy=policy(min=6), load=load(concurrency=40)), 6),
        (inputs(load=load(concurrency=40), override=override(8, 8)), 8),
    ],
)
def test_a_pause_stops_nothing_that_somebody_says_outright(of: Inputs, count: int) -> None:
    assert evaluate(msgspec.structs.replace(of, pause=pause())).replicas == count


def test_a_quota_caps_what_is_added_and_takes_nothing_away() -> None:
    quota = Quota(replicas=5, reason="the namespace has room for 5")
    made = evaluate(msgspec.structs.replace(BUSY, quota=quota))
    assert (made.replicas, why(made, "quota")) == (5, "not above 5: the namespace has room for 5")
    over = inputs(current=8, pods=pods(8), load=load(concurrency=90), quota=quota)
    assert evaluate(over).replicas == 8
    less = inputs(current=8, pods=pods(8), load=load(concurrency=60), quota=quota)
    assert evaluate(less).replicas == 6
    ordered = inputs(load=load(concurrency=90), quota=quota, override=override(7, None))
    assert evaluate(ordered).replicas == 7


@pytest.mark.slow
@some
@given(any_inputs, counts, counts)
def test_the_bounds_of_an_override_hold_always(
    of: Inputs, one: int | None, other: int | None
) -> None:
    least = one if other is None or one is None else min(one, other)
    most = other if other is None or one is None else max(one, other)
    made = evaluate(msgspec.structs.replace(of, override=override(least, most), pause=None))
    assert (least or 1) <= made.replicas <= (most or 1000)
    kept = msgspec.json.decode(msgspec.json.encode(made.inputs.override), type=Override)
    assert kept == made.inputs.override


@pytest.mark.slow
@some
@given(any_inputs, st.sampled_from(Direction))
def test_a_pause_lets_no_rule_change_the_count(of: Inputs, direction: Direction) -> None:
    held = policy_free_of_bounds(of)
    made = evaluate(msgspec.structs.replace(held, pause=pause(direction)))
    start = made.stages[0].replicas
    assert direction is Direction.DOWN or made.replicas <= start
    assert direction is Direction.UP or made.replicas >= start


@pytest.mark.slow
@some
@given(any_inputs, st.floats(0, 10**7), st.integers(1, 1000), st.sampled_from(Direction))
def test_what_is_over_does_nothing(
    of: Inputs, over_s: float, count: int, direction: Direction
) -> None:
    """Nothing of it is left in what an evaluation goes by, so its bytes are the same."""
    end = NOON - timedelta(seconds=over_s)
    facts: tuple[ManualFact, ...] = (
        OverrideSet(app="chat", override=override(count, count, until=end)),
        ScalingPaused(app="chat", pause=pause(direction, until=end)),
    )
    plain, expired = Scaler(count=of.current), Scaler(count=of.current)
    for fact in facts:
        expired = evolve(expired, fact)
    assert msgspec.json.encode(gone_by(expired, of)) == msgspec.json.encode(gone_by(plain, of))


def gone_by(scaler: Scaler, of: Inputs) -> Inputs:
    standing = Standing(asked=Asked(), spec_version=1, scaler=scaler, scale_version=1)
    return World().inputs("chat", standing, of.policy, NOON)


def policy_free_of_bounds(of: Inputs) -> Inputs:
    changed = msgspec.structs.replace(of.policy, min=1, max=1000, fallback=Fallback())
    return msgspec.structs.replace(of, policy=changed, override=None, quota=None)


SCALES = Asked(policy=policy())
SET = SetOverride(app="chat", least=3, most=3, by="anna", why="a fair", at=NOON, until=NOON + HOUR)
PAUSED = PauseScaling(
    app="chat", direction=Direction.UP, by="anna", why="", at=NOON, until=NOON + HOUR
)
LIFT = LiftOverride(app="chat", by="ben", why="over", at=NOON)
RESUME = ResumeScaling(app="chat", by="ben", why="over", at=NOON)
OVERRIDDEN = OverrideSet(app="chat", override=override(3, 3, why="a fair"))
HELD = ScalingPaused(app="chat", pause=pause(Direction.UP))


def ordering(scaler: Scaler, command: Command) -> tuple[ManualFact]:
    return orders.decide(scaler, SCALES, command)


order: Decider[Scaler, Command, ScalingFact] = Decider(
    initial=Scaler(), decide=ordering, evolve=evolve
)


def test_an_order_is_a_fact_with_who_why_and_until() -> None:
    order.given(decided(4)).when(SET).then(OVERRIDDEN)
    order.given(decided(4)).when(PAUSED).then(HELD)


def test_what_is_in_force_can_be_taken_back() -> None:
    lifted = OverrideLifted(app="chat", by="ben", why="over", at=NOON)
    resumed = ScalingResumed(app="chat", by="ben", why="over", at=NOON)
    order.given(decided(4), OVERRIDDEN, HELD).when(LIFT).then(lifted)
    order.given(decided(4), OVERRIDDEN, HELD).when(RESUME).then(resumed)
    left = order.given(decided(4), OVERRIDDEN, HELD, lifted).state.manual
    assert left == Manual(pause=HELD.pause)


def test_an_order_takes_the_place_of_an_earlier_one_and_ends_with_the_scaling() -> None:
    higher = OverrideSet(app="chat", override=override(9, None))
    state = order.given(decided(4), OVERRIDDEN, higher, HELD).state
    assert state.manual == Manual(override=higher.override, pause=HELD.pause)
    assert (state.count, state.facts) == (4, 4)
    gone = ScalingRemoved(app="chat", at=NOON)
    assert evolve(state, gone).manual == Manual()
    only_ordered = order.given(OVERRIDDEN).state
    assert ended(only_ordered, gone) == (gone,)
    assert ended(evolve(only_ordered, gone), gone) == ()


def test_without_an_end_it_ends_after_the_longest_time() -> None:
    [fact] = ordering(Scaler(), replaced(SET, until=None))
    assert isinstance(fact, OverrideSet)
    assert fact.override.until == NOON + LONGEST_ORDER


def replaced(command: SetOverride, **changed: Any) -> SetOverride:
    names = ("app", "least", "most", "by", "why", "at", "until")
    return SetOverride(**{**{name: getattr(command, name) for name in names}, **changed})


@pytest.mark.parametrize(
    ("command", "asked", "status", "said"),
    [
        (SET, None, 404, "there is no application 'chat'"),
        (SET, Asked(removed=True), 404, "there is no application 'chat'"),
        (PAUSED, Asked(initial=3), 409, "has no scaling policy"),
        (replaced(SET, least=None, most=None), SCALES, 422, "give replicas, or min, max or both"),
        (replaced(SET, least=4), SCALES, 422, "min: 4 is more than max 3"),
        (replaced(SET, until=NOON), SCALES, 422, "is over"),
        (replaced(SET, until=NOON + 31 * 24 * HOUR), SCALES, 422, "more than 30 days ahead"),
        (LIFT, SCALES, 404, "has no override in force"),
        (RESUME, SCALES, 404, "has no pause in force"),
    ],
)
def test_an_order_that_can_not_be_is_refused(
    command: Command, asked: Asked | None, status: int, said: str
) -> None:
    with pytest.raises(RefusedError, match=said) as refused:
        orders.decide(Scaler(), asked, command)
    assert refused.value.status == status


def test_what_is_over_can_not_be_taken_back_and_the_refusal_says_since_when() -> None:
    late: datetime = NOON + HOUR
    state = order.given(OVERRIDDEN, HELD).state
    for command, what in (
        (LiftOverride(app="chat", by="ben", why="", at=late), "override"),
        (ResumeScaling(app="chat", by="ben", why="", at=late), "pause"),
    ):
        with pytest.raises(RefusedError, match=f"no {what} in force; .* was over at 2026"):
            ordering(state, command)


def test_nothing_is_decided_on_orders_that_have_changed_since() -> None:
    """An evaluation that began before an order must not change the count after it."""
    busy = evaluate(BUSY)
    before = order.given(decided(4)).state
    assert decide(before, busy) != ()
    assert decide(evolve(before, HELD), busy) == ()
    paused = evaluate(msgspec.structs.replace(BUSY, override=OVERRIDDEN.override))
    assert decide(evolve(before, OVERRIDDEN), paused) != ()
    assert decide(before, paused) == ()
