"""A whole hpa with a past in its log: the floor stands, is switched off, and people are told."""

from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from midstage.contracts.alarms import Alarm
from midstage.contracts.peaks import PEAKS_OBSERVED, key_of
from midstage.contracts.policy import Policy
from midstage.hpa.decide.forecast.seasons import DAY, Column
from midstage.hpa.stream.replay import replayed
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, Running, facts_told, now, records, running
from tests.hpa.peaks import daily, foreseeing, slot_of, told

pytestmark = pytest.mark.slow
POLICY = msgspec.json.decode(msgspec.json.encode(foreseeing()), type=Policy)
FIFTEEN = 15


def remembered(others: Others, column: Column, *, end: int) -> None:
    """What an hpa before us wrote of the slots up to ``end``."""
    for fact in told(column, end=end):
        key = key_of(fact.app, fact.measure, fact.day)
        others.say(others.names.peaks, PEAKS_OBSERVED, key, fact)


def floor(hpa: Running) -> tuple[int, str]:
    """What the newest evaluation says of it."""
    made = hpa.evaluation("chat")
    stages = made.get("evaluation", {}).get("stages", ())
    found = [(each["replicas"], each.get("reason", "")) for each in stages]
    names = [each["name"] for each in stages]
    return found[names.index("forecast floor")] if "forecast floor" in names else (0, "")


def alarms(hpa: Running) -> list[str]:
    found = hpa.http.get("/v1/alarms", params={"app": "chat"}).json()["alarms"]
    return [each["alarm"] for each in found]


def test_it_stands_before_the_load_and_who_loses_it_is_told(others: Others, tmp_path: Path) -> None:
    """The load rises each day at about this time; then it is known to have risen at any time."""
    end = slot_of(now())
    past = daily(FIFTEEN, end=end, at=(end + 1) % DAY)
    remembered(others, past, end=end)
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    others.pods("chat", 2)
    with running(others.log, others.names, tmp_path) as hpa:
        others.load("chat", in_flight=8)
        within(60, lambda: hpa.counts("chat")[-1:] == [10])
        within(60, lambda: floor(hpa) == (10, "100 is expected by the day, 10 each"))
        assert alarms(hpa) == []
    with running(others.log, others.names, tmp_path) as hpa:
        at = now()
        within(60, lambda: hpa.evaluated_after("chat", at))
        assert floor(hpa) == (10, "100 is expected by the day, 10 each")
        anywhere = np.concatenate([daily(1, end=end, at=20 * number) for number in range(FIFTEEN)])
        remembered(others, np.fmax(past, anywhere * 5), end=end)
        within(60, lambda: alarms(hpa) == [Alarm.FORECAST_OFF.value])
        within(60, lambda: floor(hpa)[1].startswith("the forecast is off: with it "))
        others.specify("chat", msgspec.structs.replace(POLICY, forecast=None), replicas=2)
        within(60, lambda: alarms(hpa) == [])
    found = replayed(others.log)
    assert (found.equal, found.unheld) == (True, 0), found.first_difference


def test_what_was_never_known_to_hold_is_no_alarm(others: Others, tmp_path: Path) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        others.load("chat", in_flight=8)
        within(60, lambda: floor(hpa)[1].endswith("nothing is known of the past"))
        at = now()
        within(60, lambda: hpa.evaluated_after("chat", at))
        assert alarms(hpa) == []
    assert facts_told(others) == []


def test_five_minutes_of_load_are_written_by_whoever_runs(others: Others, tmp_path: Path) -> None:
    """Of minutes that passed before it began."""
    others.specify("chat", POLICY, replicas=2)
    begin = now() - timedelta(seconds=800)
    for second in range(0, 800, 2):
        others.load("chat", in_flight=30, second=begin + timedelta(seconds=second))
    with running(others.log, others.names, tmp_path):
        within(60, lambda: list(records(others.log, others.names.peaks)))
