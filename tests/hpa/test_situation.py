"""What the stages look at, at its edges: how old is too old, who leads, what holds a count back."""

from datetime import timedelta

import msgspec
import pytest

from midstage.contracts.cluster import Phase
from midstage.contracts.policy import Fallback, Rate, Targets
from midstage.contracts.scaling import Inputs, Proposal, Rule, Stage
from midstage.contracts.timed import Timed
from midstage.hpa.decide import stages
from midstage.hpa.decide.evaluate import begin, evaluate
from midstage.hpa.decide.hpav2.behavior import Past, Recommendation
from midstage.hpa.decide.situation import Situation, cluster_unknown
from midstage.hpa.decide.situation import of as situation_of
from midstage.testkit.clock import NOON
from tests.hpa.engine import changed, inputs, load, pods, policy


def wants(replicas: int | None, exact: float | None = None, name: str = "") -> Proposal:
    return Proposal(rule=Rule.SIGNAL, name=name, target=1, reason="", want=replicas, exact=exact)


def situation(*proposals: Proposal, current: int = 4, **known: object) -> Situation:
    given = {"current": current, "least": 1, "most": 9, "proposals": proposals, **known}
    return Situation(**given)  # type: ignore[arg-type]  # what a test says


@pytest.mark.parametrize(
    ("age_s", "unknown"),
    [(30, None), (30.4, "the cluster was reached 30 s ago"), (-5, None)],
)
def test_a_cluster_is_known_for_half_a_minute(age_s: float, unknown: str | None) -> None:
    seen = inputs(cluster_at=NOON - timedelta(seconds=age_s))
    assert cluster_unknown(seen) == unknown


@pytest.mark.parametrize(("age_s", "not_raised"), [(60, ""), (60.5, "pod-0 finds no node")])
def test_a_pod_finds_no_node_after_a_minute(age_s: float, not_raised: str) -> None:
    since = NOON - timedelta(seconds=age_s)
    [waits] = [
        msgspec.structs.replace(each, ready=False, phase=Phase.PENDING, started_at=since)
        for each in pods(1)
    ]
    assert situation_of(inputs(pods=(waits,)), 4, ()).not_raised == not_raised
    away = msgspec.structs.replace(waits, started_at=None)
    assert situation_of(inputs(pods=(away,)), 4, ()).not_raised == ""


@pytest.mark.parametrize(
    ("cold_start_s", "before_s", "holds"),
    [(None, 70, True), (None, 71, False), (30.0, 40, True), (30.0, 41, False), (0.0, 11, False)],
)
def test_a_floor_is_early_by_a_cold_start_and_ten_seconds(
    cold_start_s: float | None, before_s: float, *, holds: bool
) -> None:
    now = NOON + timedelta(minutes=10, seconds=-before_s)
    soon = policy(timed=(Timed(name="soon", floor=6, begin="12:10", end="13:00"),))
    found = situation_of(inputs(policy=soon, now=now, cold_start_s=cold_start_s), 4, ())
    assert (found.timed.floor is not None) is holds


@pytest.mark.parametrize(
    ("first", "second", "leads"),
    [
        (wants(0, 0.9), wants(1, 0.5), 1),
        (wants(2, None), wants(2, 0.5), 1),
        (wants(0, None), wants(0, 0.0), 0),
        (wants(2, 1.5), wants(2, 1.9), 1),
        (wants(3, 2.1), wants(2, 2.9), 0),
        (wants(None, 9.0), wants(0, 0.0), 1),
    ],
)
def test_who_wants_most_leads_and_of_equals_who_needs_most(
    first: Proposal, second: Proposal, leads: int
) -> None:
    assert situation(first, second).leading is (first, second)[leads]


def test_without_a_want_nobody_leads() -> None:
    assert situation(wants(None)).leading is None
    assert situation().leading is None
    assert situation(wants(3)).leading == wants(3)


def test_who_does_not_know_is_named_once() -> None:
    blind = situation(wants(None, name="jobs"), wants(3), wants(None), wants(None, name="jobs"))
    assert blind.missing == ("jobs", "signal")


@pytest.mark.parametrize(
    ("want", "current", "undecided"),
    [
        (3, 4, True),
        (4, 4, False),
        (5, 4, False),
        (0, 1, True),
        (0, 0, False),
        (None, 4, True),
    ],
)
def test_undecided_is_what_is_not_known_and_would_be_lowered(
    want: int | None, current: int, *, undecided: bool
) -> None:
    blind = situation(wants(want), wants(None, name="jobs"), current=current)
    assert blind.undecided is undecided
    static = msgspec.structs.replace(blind, fallback=Fallback(static=2))
    assert not static.undecided
    assert not situation(wants(3), current=current).undecided


def test_a_count_that_is_wanted_is_held_as_before_behaviors_though_one_does_not_know() -> None:
    past = Past(recommendations=[Recommendation(replicas=7, age_s=10)])
    held = situation(wants(4), wants(None, name="jobs"), past=past)
    assert stages.stabilise(held, 4).replicas == 7
    assert stages.stabilise(situation(wants(3), wants(None), past=past), 4).replicas == 4


def test_from_one_replica_on_a_change_uses_up_the_rate() -> None:
    slow = policy(up=Rate(pods=3, percent=0))
    assert evaluate(inputs(policy=slow, load=load(concurrency=90))).replicas == 7
    grown = inputs(policy=slow, load=load(concurrency=90), changes=(changed(5, 1, 4),))
    assert evaluate(grown).replicas == 4


def test_the_first_count_is_a_want_of_just_now() -> None:
    idle = inputs(policy=policy(stabilise_down_s=1), load=load(concurrency=0), pods=pods(0))
    first = msgspec.structs.replace(idle, current=0, initial=3)
    assert evaluate(first).replicas == 3


@pytest.mark.parametrize(
    ("ratio", "lowered"), [(1.0, True), (1.0000000004, True), (1.0000000006, False), (None, True)]
)
def test_float_noise_holds_no_count_back(ratio: float | None, *, lowered: bool) -> None:
    busy = Proposal(
        rule=Rule.CONCURRENCY, target=1, reason="", want=2, exact=1.9, ready_ratio=ratio
    )
    assert (situation_of(inputs(), 4, (busy,)).not_lowered == "") is lowered


def test_one_replica_is_a_count_and_none_is_not() -> None:
    assert begin(inputs(current=1, initial=3)).replicas == 1
    assert begin(inputs(current=0, initial=3)).replicas == 3


def test_what_is_remembered_as_wanted_is_what_is_left_of_a_want() -> None:
    away = inputs(load=load(concurrency=5), cluster_at=None)
    assert evaluate(away).want == 4


def test_where_none_is_allowed_none_can_be_the_first_want() -> None:
    none: Inputs = inputs(
        policy=policy(min=0, targets=Targets(concurrency=10)),
        current=0,
        initial=0,
        load=load(concurrency=0),
        pods=(),
    )
    first = evaluate(none)
    assert (first.replicas, first.want) == (0, 0)


def test_a_static_count_of_none_is_what_nobody_wants_too() -> None:
    blind = situation(wants(None), fallback=Fallback(static=0))
    assert stages.unknown(blind, 4) == Stage(name="unknown", replicas=0)


def test_where_nothing_runs_nothing_is_kept() -> None:
    blind = situation(wants(None), current=0)
    assert stages.unknown(blind, 0) == Stage(name="unknown", replicas=0)
