"""The past is made again: to the byte, or the first that differs is shown, both ways."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from midstage.contracts.policy import Policy, Rate, Targets
from midstage.contracts.scaling import EVALUATION_MADE, EvaluationMade, Inputs
from midstage.eventlog.log import Message
from midstage.eventlog.memory import MemoryLog
from midstage.hpa.decide.engine import ENGINE
from midstage.hpa.decide.evaluate import evaluate
from midstage.hpa.stream.folding import Topics
from midstage.hpa.stream.replay import replayed, replaying
from midstage.hpa.stream.replay_command import command
from midstage.hpa.views.replays import Which, lines
from midstage.testkit.clock import NOON
from midstage.testkit.waiting import within
from tests.hpa.conftest import Others, created, follows, records, running
from tests.hpa.engine import inputs, load, policy
from tests.hpa.test_process import evaluated_anew

POLICY = Policy(
    min=1, max=8, targets=Targets(concurrency=2), stabilise_down_s=0, window_s=1, up=Rate(pods=100)
)
SHALLOW = Which()
TEN = 10


def said(others: Others, number: int, *, app: str = "chat", engine: str = ENGINE) -> None:
    """An evaluation of the second ``number`` after noon, as an hpa of that engine wrote it."""
    at = NOON + timedelta(seconds=number)
    of = inputs(app=app, now=at, load=load(concurrency=5 * number), policy=policy())
    kept = msgspec.json.decode(msgspec.json.encode(of), type=Inputs)  # 10 is 10.0 there
    evaluation = msgspec.structs.replace(evaluate(kept), engine=engine)
    fact = EvaluationMade(app=app, evaluation=evaluation)
    others.say(others.names.evaluations, EVALUATION_MADE, app, fact)


@pytest.fixture
def past(others: Others) -> Others:
    """Ten evaluations of chat and ten of ocr."""
    for app in ("chat", "ocr"):
        for number in range(TEN):
            said(others, number, app=app)
    return others


def test_each_is_made_again_from_what_it_stored(past: Others) -> None:
    found = replayed(past.log, which=SHALLOW)
    assert (found.total, found.from_stored_equal, found.equal) == (20, 20, True)
    assert found.first_difference is None


def test_one_application_and_one_time_are_chosen(past: Others) -> None:
    assert replayed(past.log, which=Which(app="ocr")).total == TEN
    of = Which(since=NOON + timedelta(seconds=3), until=NOON + timedelta(seconds=5))
    assert replayed(past.log, which=of).total == 4
    assert replayed(past.log, which=Which(app="nobody")).total == 0


def test_what_another_engine_decided_is_told_and_not_made_again(past: Others) -> None:
    said(past, 11, engine="hpa/1")
    said(past, 12, engine="hpa/1")
    said(past, 13, engine="")
    found = replayed(past.log, which=SHALLOW)
    assert (found.total, found.others, found.equal) == (20, {"": 1, "hpa/1": 2}, True)


def test_the_first_difference_has_both(past: Others) -> None:
    forged = MemoryLog()
    created(forged, Topics())
    copied(
        past.log, forged, lambda value: value.replace(b'"concurrency":25.0', b'"concurrency":95.0')
    )
    found = replayed(forged, which=SHALLOW)
    assert (found.total, found.from_stored_equal, found.equal) == (20, 18, False)
    assert found.first is not None
    assert (found.first.app, found.first.at) == ("chat", NOON + timedelta(seconds=5))
    assert found.first.where == "proposals[0].carried was 25.0, is 95.0"
    assert found.first.made is not None
    assert (found.first.stored.replicas, found.first.made.replicas) == (3, 10)


def test_other_writing_of_the_same_is_the_same(past: Others) -> None:
    """Only the evaluation's bytes count: a reader may have added to the record."""
    other = MemoryLog()
    created(other, Topics())
    copied(past.log, other, lambda value: value[:-1] + b',"added":1}')
    assert replayed(other, which=SHALLOW).from_stored_equal == 20


def test_garbage_is_no_evaluation(past: Others) -> None:
    topic = past.names.evaluations.name
    past.put(
        *(Message(topic=topic, key=b"chat", value=each) for each in (b"{", b"{}", b"\xff", None))
    )
    assert replayed(past.log, which=SHALLOW).equal


def test_what_is_told_meanwhile_ends_with_the_sums(past: Others) -> None:
    told = [json.loads(line) for line in lines(replaying(past.log, which=SHALLOW))]
    assert [each["done"] for each in told][-2:] == [False, True]
    assert (told[-1]["total"], told[-1]["equal"], told[-1]["first"]) == (20, True, None)


def test_a_log_that_goes_away_is_the_last_line(past: Others) -> None:
    assert isinstance(past.log, MemoryLog)
    past.log.cut()
    [last] = [json.loads(line) for line in lines(replaying(past.log, which=SHALLOW))]
    assert not last["done"]
    assert last["error"]


def test_the_command_takes_times_and_an_application(
    past: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    since = (NOON + timedelta(seconds=8)).isoformat()
    arguments = ["chat", "--kafka", "here", "--from", since]
    assert command(arguments, log_at=lambda _address: past.log) == 0
    assert capsys.readouterr().out == (
        "2 evaluations and 0 changes made again; 2 equal from what they stored\n"
    )
    with pytest.raises(SystemExit):
        command(["--kafka", "here", "--from", "12:00"], log_at=lambda _address: past.log)


@pytest.mark.slow
def test_what_really_happened_is_made_again_and_a_forgery_is_named(
    others: Others, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        within(60, lambda: hpa.counts("chat") == [2])
        follows(hpa, others, "chat", 8, [2, 4])
        told = hpa.http.get("/v1/replay", params={"deep": True}).text.splitlines()
        last = json.loads(told[-1])
        assert (last["done"], last["equal"], last["changes"]) == (True, True, 2)
    assert command(["--kafka", "here", "--deep"], log_at=lambda _address: others.log) == 0
    assert "equal from the topics, 0 no longer held" in capsys.readouterr().out
    forged = MemoryLog()
    created(forged, Topics())
    copied(others.log, forged, lambda value: value.replace(b'"initial":2', b'"initial":3'))
    found = replayed(forged)
    assert not found.equal
    assert found.from_stored_equal < found.total + found.changes
    assert found.first_difference is not None
    assert "from what it stored: stages[0].replicas was 2, is 3" in found.first_difference
    assert command(["--kafka", "here"], log_at=lambda _address: forged) == 1


def test_both_ways_look_at_the_same_evaluations_while_others_come_in(
    others: Others, tmp_path: Path
) -> None:
    others.reach()
    others.specify("chat", POLICY, replicas=2)
    with running(others.log, others.names, tmp_path) as hpa:
        evaluated_anew(hpa, "chat")
        parts = replaying(others.log, topics=others.names, which=Which(deep=True))
        before = next(parts).total
        evaluated_anew(hpa, "chat")
        last = list(parts)[-1]
    assert before > 0
    assert (last.total, last.from_topics_equal, last.equal) == (before, before, True)


def copied(log: MemoryLog | object, to: MemoryLog, change: Callable[[bytes], bytes]) -> None:
    """The same log with other evaluations and decisions."""
    assert isinstance(log, MemoryLog)
    topics = Topics()
    writer = to.writer()
    for topic in (topics.evaluations, topics.scaling, topics.apps, topics.load, topics.cluster):
        for record in records(log, topic):
            value = None if record.value is None else change(record.value)
            writer.send(
                Message(topic=topic.name, key=record.key, value=value, headers=record.headers)
            )
    assert writer.flush(60) == 0
