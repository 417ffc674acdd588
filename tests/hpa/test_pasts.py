"""The past of an application as hpa folds it: the larger of what is known, from whoever it came."""

import random
import tracemalloc
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midstage.contracts.forecast import Forecast, ForecastInput, Season
from midstage.contracts.load import LoadObserved
from midstage.contracts.peaks import PeaksObserved
from midstage.contracts.policy import Measure, Targets
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.decide.forecast.foreseen import boundary
from midstage.hpa.decide.forecast.seasons import DAY, Column
from midstage.hpa.views.carried import Carried
from midstage.hpa.views.pasts import Pasts
from midstage.hpa.views.peaks import peak
from midstage.testkit.clock import NOON
from tests.hpa.engine import figures, inputs, load, policy, why
from tests.hpa.peaks import SLOT, daily, foreseeing, slot_of, told

HERE = slot_of(NOON)
POLICY = foreseeing()
SECOND = timedelta(seconds=1)
RISE = (HERE + 2) % DAY
"""The load rises ten minutes after noon."""


def folded(facts: Iterable[PeaksObserved], *, at: datetime = NOON) -> Pasts:
    view = Pasts()
    for fact in facts:
        view.apply(fact, at)
    return view


def found(view: Pasts, *, now: datetime = NOON, **changed: object) -> ForecastInput:
    made = view.of("chat", msgspec.structs.replace(POLICY, **changed), cold_start_s=180.0, now=now)
    assert made is not None
    return made


def past(column: Column) -> Pasts:
    return folded(told(column, end=HERE))


def test_the_floor_stands_before_the_load_rises() -> None:
    of = found(past(daily(12, end=HERE, at=RISE)))
    assert (of.carried, of.off) == (100, "")
    assert of.lost_with < of.lost_without
    assert of.tested_s == pytest.approx(7 * 86_400, abs=7200)
    calm = inputs(policy=POLICY, load=load(concurrency=8), forecast=of)
    assert figures(evaluate(calm))["forecast floor"] == 10
    assert why(evaluate(calm), "forecast floor") == "100 is expected by the day, 10 each"


@pytest.mark.parametrize(
    ("column", "off"),
    [
        (np.full(12 * DAY, 10.0), "without it nothing was lost either"),
        (daily(2, end=HERE, at=RISE), "too little of the past is known to test it"),
        (np.concatenate([daily(1, end=HERE, at=20 * n) for n in range(12)]), "with it "),
    ],
)
def test_what_would_not_have_helped_is_off_and_says_why(column: Column, off: str) -> None:
    of = found(past(column))
    assert of.off.startswith(off)
    calm = inputs(policy=POLICY, load=load(concurrency=8), forecast=of)
    assert why(evaluate(calm), "forecast floor") == f"the forecast is off: {of.off}"


def test_an_odd_day_and_days_that_nobody_saw_change_nothing() -> None:
    whole = daily(12, end=HERE, at=RISE)
    odd, gone = whole.copy(), whole.copy()
    odd[-3 * DAY : -2 * DAY] = 1e9
    gone[-4 * DAY : -2 * DAY] = np.nan
    assert found(past(odd)).carried == found(past(gone)).carried == 100
    assert found(past(gone)).off == ""


def test_a_past_of_another_measure_or_application_says_nothing() -> None:
    view = folded(told(daily(12, end=HERE, at=RISE), end=HERE, measure=Measure.RPS))
    of = view.of("chat", POLICY, cold_start_s=None, now=NOON)
    assert of is None
    by_rate = msgspec.structs.replace(POLICY, targets=Targets(requests_per_s=10.0))
    assert view.of("chat", by_rate, cold_start_s=None, now=NOON) is not None
    assert view.of("ocr", by_rate, cold_start_s=None, now=NOON) is None
    assert view.of("chat", policy(), cold_start_s=None, now=NOON) is None


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_records_seen_twice_late_and_in_any_order_change_nothing(seed: int) -> None:
    """Two processes, each of which missed some slots, and records of earlier times of a day."""
    draw = random.Random(seed)
    whole = daily(16, end=HERE, at=RISE)
    facts: list[PeaksObserved] = []
    for _ in range(2):
        column = whole.copy()
        column[[draw.randrange(len(whole)) for _ in range(200)]] = np.nan
        facts += told(column, end=HERE)
    facts += told(whole[:-100], end=HERE - 100)
    twice = facts + draw.sample(facts, len(facts) // 2)
    draw.shuffle(twice)
    one, other = folded(facts), folded(twice)
    for later in (0, 30, 59):
        now = NOON + timedelta(minutes=later)
        assert found(one, now=now) == found(other, now=now)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 3599), st.sampled_from(Season))
def test_within_its_hour_it_is_the_same_whenever_it_is_made(passed: int, season: Season) -> None:
    """One that looked from the hour's begin on, and one that begins when slots have come since."""
    column = daily(16, end=HERE + 12, at=RISE) + np.arange(16 * DAY) % 7
    early = folded(told(column[:-12], end=HERE))
    now = NOON + passed * SECOND
    begun = NOON
    while boundary("chat", begun) != boundary("chat", now):
        begun += timedelta(minutes=1)
    said = Forecast(season=season)
    found(early, now=begun, forecast=said)
    newest = slot_of(now)
    seen = told(column[: newest - HERE - 12 or None], end=newest)
    for fact in seen:
        early.apply(fact, now)
    late = folded(seen, at=now)
    assert found(early, now=now, forecast=said) == found(late, now=now, forecast=said)


def test_what_comes_late_for_what_is_looked_at_is_looked_at() -> None:
    column = daily(12, end=HERE, at=RISE)
    view = past(column)
    assert found(view).carried == 100
    more = told(column * 2, end=HERE)
    for fact in more:
        view.apply(fact, NOON)
    assert found(view) == found(folded(more))
    assert found(view).carried == 200


@pytest.mark.parametrize(
    "change",
    [
        {"day": NOON},
        {"day": (NOON + timedelta(days=1)).replace(hour=0)},
        {"peaks": b"\1\1" * 288},
        {"peaks": b""},
        {"peaks": b"\1"},
    ],
)
def test_records_that_can_not_be_true_change_nothing(change: dict[str, object]) -> None:
    [fact] = told(np.full(10, 5.0), end=HERE)
    assert (
        folded([msgspec.structs.replace(fact, **change)]).lacking("chat", Measure.CONCURRENCY, {})
        == ()
    )
    view = Pasts()
    assert not view.apply(msgspec.structs.replace(fact, **change), NOON)
    assert not view.knows("chat", Measure.CONCURRENCY, HERE - 1)


def test_the_log_lacks_what_is_new_and_larger_and_nothing_else() -> None:
    view = past(np.full(10, 50.0))
    assert view.lacking("chat", Measure.CONCURRENCY, {HERE - 1: 50.0, HERE - 2: 3.0}) == ()
    [larger] = view.lacking("chat", Measure.CONCURRENCY, {HERE - 1: 60.0})
    [new] = view.lacking("chat", Measure.CONCURRENCY, {HERE: 1.0})
    whole = told(np.append(np.full(10, 50.0), 1.0), end=HERE + 1)
    assert [new] == list(whole)
    view.apply(larger, NOON)
    assert view.lacking("chat", Measure.CONCURRENCY, {HERE - 1: 60.0}) == ()


def test_midnight_is_two_records() -> None:
    midnight = HERE - HERE % DAY
    made = Pasts().lacking("chat", Measure.RPS, {midnight - 1: 4.0, midnight: 5.0})
    assert [fact.day.day for fact in made] == [31, 1]
    assert [len(fact.peaks) for fact in made] == [2 * DAY, 2]


def test_a_record_that_says_less_than_is_known_is_written_again() -> None:
    """Compaction keeps the newest record of a day: it must not be that of one who began late."""
    whole = told(np.full(100, 50.0), end=HERE)
    poor = told(np.full(20, 50.0), end=HERE)
    view = folded([*whole, *poor])
    assert view.lacking("chat", Measure.CONCURRENCY, {}) == tuple(whole)
    view.apply(whole[0], NOON)
    assert view.lacking("chat", Measure.CONCURRENCY, {}) == ()


@pytest.mark.slow
def test_a_past_needs_ten_kilobytes() -> None:
    names = [f"app-{number}" for number in range(200)]
    facts = {app: told(daily(17, end=HERE, at=RISE), end=HERE, app=app) for app in names}
    view = Pasts()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for app, days in facts.items():
        for fact in days:
            view.apply(fact, NOON)
        view.of(app, POLICY, cold_start_s=180.0, now=NOON)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(names) <= 10_240


def carried(seconds: dict[int, int], *, complete: bool = True) -> Carried:
    view = Carried()
    for second, in_flight in seconds.items():
        at = NOON + second * SECOND
        view.apply(
            LoadObserved(
                app="chat",
                second=at,
                shard=0,
                shards=1,
                complete_until=at + SECOND if complete else None,
                outcomes={"ok": in_flight},
                in_flight=in_flight,
                pending=0,
            ),
            at,
        )
    return view


@pytest.mark.parametrize("measure", Measure)
def test_a_slot_is_its_highest_minute(measure: Measure) -> None:
    flat = dict.fromkeys(range(-100, 400), 4)
    assert peak(carried(flat), "chat", measure, HERE) == 4
    before = {**flat, **dict.fromkeys(range(-100, -59), 900)}
    after = {**flat, **dict.fromkeys(range(300, 400), 900)}
    assert peak(carried(before), "chat", measure, HERE) == 4
    assert peak(carried(after), "chat", measure, HERE) == 4
    short = {**flat, **dict.fromkeys(range(100, 130), 10)}
    assert peak(carried(short), "chat", measure, HERE) == 7


@pytest.mark.parametrize("measure", Measure)
def test_a_slot_of_which_too_little_is_known_is_unknown(measure: Measure) -> None:
    assert peak(carried(dict.fromkeys(range(149), 4)), "chat", measure, HERE) is None
    assert peak(carried(dict.fromkeys(range(150), 4)), "chat", measure, HERE) == 4
    assert peak(carried(dict.fromkeys(range(-60, 100), 4)), "chat", measure, HERE) is None
    assert peak(carried({}), "chat", measure, HERE) is None


def test_seconds_that_are_not_complete_say_nothing_of_requests() -> None:
    view = carried(dict.fromkeys(range(300), 4), complete=False)
    assert peak(view, "chat", Measure.RPS, HERE) is None
    assert peak(view, "chat", Measure.CONCURRENCY, HERE) == 4


def test_a_slot_and_a_day_are_of_utc() -> None:
    [fact] = told(np.full(1, 5.0), end=HERE)
    assert (fact.day.hour, fact.day.date()) == (0, NOON.date())
    assert len(fact.peaks) == 2 * DAY // 2
    assert timedelta(days=1) == SLOT * DAY
