"""What lasts too long is told once, and once that it is over, whoever looks or restarts."""

import itertools
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from midstage.contracts.alarms import Alarm, AlarmCleared, AlarmFact, AlarmRaised
from midstage.contracts.scaling import EVALUATION_MADE, Changed, Evaluation, EvaluationMade
from midstage.hpa.decide.alarms import (
    FLAPS_WITHIN,
    MAXIMUM_FOR,
    UNKNOWN_FOR,
    decide,
    ended,
    evolve,
    suspected,
)
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.model import Alarms, Suspect
from midstage.hpa.views.conditions import SILENCE, Condition, Conditioned
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, Running, now, records, running
from tests.hpa.engine import inputs, load, pods, policy

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
UNKNOWN = "concurrency: what is in flight is not known"


def made(at: datetime, carried: float | None = None, **changed: object) -> Evaluation:
    age_s = (NOON - at) / SECOND + 1
    of = load() if carried is None else load(concurrency=carried, age_s=age_s)
    return evaluate(inputs(now=at, load=of, cluster_at=at, **changed))


def conditions(*evaluations: Evaluation) -> tuple[Condition | None, Condition | None]:
    view = Conditioned()
    for each in evaluations:
        view.apply("chat", each)
    found = view.of("chat")
    assert found is not None
    return found.at_maximum, found.input_unknown


def test_an_unknown_input_is_unknown_since_the_first_evaluation_that_missed_it() -> None:
    times = [NOON + number * MINUTE for number in range(3)]
    known, *unknown = made(NOON - SECOND, 5), *(made(at) for at in times)
    assert conditions(known, *unknown)[1] == Condition(since=NOON, reason=UNKNOWN)
    assert conditions(*unknown, made(times[-1] + SECOND, 5))[1] is None


def test_late_and_repeated_evaluations_change_nothing() -> None:
    first, second = made(NOON), made(NOON + SECOND)
    assert conditions(first, second, second, first) == conditions(first, second)
    assert conditions(second, first)[1] == Condition(since=NOON + SECOND, reason=UNKNOWN)


def test_where_nobody_evaluated_nobody_knows_since_when() -> None:
    later = NOON + SILENCE
    assert conditions(made(NOON), made(later))[1] == Condition(since=NOON, reason=UNKNOWN)
    after = later + SECOND
    assert conditions(made(NOON), made(after))[1] == Condition(since=after, reason=UNKNOWN)


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (made(NOON, 140, current=10), "it wants 14, the maximum is 10"),
        (made(NOON, 100, current=10), "it wants 10, the maximum is 10"),
        (made(NOON, 80, current=10, pods=pods(10)), None),
        (made(NOON, current=10), None),
        (made(NOON, 900, current=4, policy=policy(min=4, max=4)), None),
    ],
)
def test_at_its_maximum_is_who_has_nothing_left(of: Evaluation, reason: str | None) -> None:
    found, _ = conditions(of)
    assert found == (None if reason is None else Condition(since=NOON, reason=reason))


def suspect(alarm: Alarm, ago: timedelta | None) -> Suspect:
    return Suspect(alarm=alarm, since=None if ago is None else NOON - ago, reason="why")


def told(held: Alarms, each: Suspect) -> list[AlarmFact]:
    return decide(held, "chat", [each], NOON)


@pytest.mark.parametrize(
    ("alarm", "after"), [(Alarm.INPUT_UNKNOWN, UNKNOWN_FOR), (Alarm.AT_MAXIMUM, MAXIMUM_FOR)]
)
def test_what_lasts_too_long_is_raised_once_and_cleared_once(
    alarm: Alarm, after: timedelta
) -> None:
    assert told(Alarms(), suspect(alarm, after - SECOND)) == []
    [raised] = told(Alarms(), suspect(alarm, after))
    assert raised == AlarmRaised(app="chat", alarm=alarm, since=NOON - after, at=NOON, reason="why")
    held = evolve(Alarms(), raised)
    assert told(held, suspect(alarm, after + SECOND)) == []
    [cleared] = told(held, suspect(alarm, None))
    assert cleared == AlarmCleared(app="chat", alarm=alarm, at=NOON, reason="why")
    assert told(evolve(held, cleared), suspect(alarm, None)) == []


def test_who_does_not_know_how_long_clears_nothing() -> None:
    held = evolve(Alarms(), told(Alarms(), suspect(Alarm.AT_MAXIMUM, MAXIMUM_FOR))[0])
    assert told(held, suspect(Alarm.AT_MAXIMUM, timedelta())) == []
    [cleared] = ended(held, "chat", NOON, "it scales no more")
    assert evolve(held, cleared) == Alarms()


def test_what_is_cleared_clears_no_other() -> None:
    facts = [
        told(Alarms(), suspect(alarm, MAXIMUM_FOR))[0]
        for alarm in (Alarm.AT_MAXIMUM, Alarm.INPUT_UNKNOWN)
    ]
    held = evolve(evolve(Alarms(), facts[0]), facts[1])
    [cleared] = told(held, suspect(Alarm.AT_MAXIMUM, None))
    assert set(evolve(held, cleared).raised) == {Alarm.INPUT_UNKNOWN}


def turning(counts: list[int], *, newest: timedelta = timedelta()) -> Suspect | None:
    """Changes of the count each two minutes, the last one ``newest`` ago."""
    pairs = list(itertools.pairwise(counts))
    changes = tuple(
        Changed(at=NOON - newest - 2 * MINUTE * (len(pairs) - 1 - n), before=one, after=other)
        for n, (one, other) in enumerate(pairs)
    )
    return suspected(changes, NOON)


def test_a_count_that_turns_again_and_again_flaps() -> None:
    flaps = turning([2, 4, 2, 4, 2, 4])
    assert flaps == Suspect(
        alarm=Alarm.FLAPPING, since=NOON - 6 * MINUTE, reason="4 reversals within 30 minutes"
    )
    assert told(Alarms(), flaps) != []
    in_between = turning([2, 4, 2, 4, 2])
    assert in_between is None  # neither raised nor cleared
    calm = turning([2, 4, 2, 1])
    assert calm is not None
    assert calm.since is None
    for steady in ([1, 2, 3, 4, 5, 6, 7], [0, 4, 2, 1], []):
        found = turning(steady)
        assert found is not None
        assert found.reason == "0 reversals within 30 minutes"
    past = turning([2, 4, 2, 4, 2, 4], newest=FLAPS_WITHIN)
    assert past is not None
    assert past.since is None


@pytest.mark.slow
def test_two_that_begin_in_the_middle_raise_it_once_and_clear_it_once(
    others: Others, tmp_path: Path
) -> None:
    """An hpa that is no more evaluated without load for six minutes."""
    others.reach()
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    of = policy(max=8)
    others.specify("chat", of, replicas=2)
    begin = now() - UNKNOWN_FOR - MINUTE
    for number in range(7):
        at = begin + number * MINUTE
        evaluation = evaluate(inputs(now=at, load=load(), cluster_at=at, current=2))
        fact = EvaluationMade(app="chat", evaluation=evaluation)
        others.say(others.names.evaluations, EVALUATION_MADE, "chat", fact)
    with (
        running(others.log, others.names, one) as hpa,
        running(others.log, others.names, two) as other,
    ):
        within(60, lambda: standing(hpa) == standing(other) == [("chat", "input unknown")])
        [told] = hpa.http.get("/v1/alarms").json()["alarms"]
        assert datetime.fromisoformat(told["since"]) == begin
        assert told["reason"] == UNKNOWN
        within(60, lambda: cleared_by_load(others, hpa))
        within(60, lambda: standing(other) == [])
    assert facts_told(others) == ["AlarmRaised", "AlarmCleared"]
    with running(others.log, others.names, one) as hpa:
        assert standing(hpa) == []


def cleared_by_load(others: Others, hpa: Running) -> bool:
    others.load("chat", in_flight=8)
    return standing(hpa) == []


def standing(hpa: Running) -> list[tuple[str, str]]:
    found = hpa.http.get("/v1/alarms", params={"app": "chat"}).json()["alarms"]
    return [(each["app"], each["alarm"]) for each in found]


def facts_told(others: Others) -> list[str]:
    values = [record.value or b"" for record in records(others.log, others.names.alarms)]
    return [
        each["fact"]
        for value in values
        for each in msgspec.json.decode(value)["data"].get("facts", ())
    ]
