"""The backtest command: what it prints, what it refuses, and that it reads the log."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from midstage.contracts import topics
from midstage.contracts.fact import Event
from midstage.contracts.load import LOAD_OBSERVED, LoadObserved
from midstage.eventlog.codec import message
from midstage.eventlog.log import Log
from midstage.hpa.simulate.command import command
from tests.hpa.conftest import Others

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "ours.json"
    file.write_text('{"max": 50, "targets": {"requests_per_s": 7}, "forecast": {}}')
    return file


@pytest.fixture
def series(tmp_path: Path) -> Path:
    file = tmp_path / "load.csv"
    rows = [f"{minute * 60},{20 if minute < 30 else 90}" for minute in range(60)]
    file.write_text("\n".join(["ts,value", *rows]))
    return file


def asked(*words: object, log: Log | None = None) -> int:
    def log_at(address: str) -> Log:
        assert log is not None, address
        return log

    return command([str(word) for word in words], log_at=log_at)


def test_figures_and_a_chart(
    policy: Path, series: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("--policy", policy, "--series", series, "--warm-up", 0) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("assumed: each replica serves 10 a second, 180 s after it")
    assert any(line.startswith("violated, of the time") for line in lines)
    drawn = [line for line in lines if "│" in line]
    assert len(drawn) == 10
    assert "!" in "".join(drawn)  # HPA is late
    assert lines[-1] == "┄ from 1 to 50 replicas"


def test_a_bound_is_drawn_where_the_chart_is_that_high(
    policy: Path, series: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The load needs nine replicas, and may have seven."""
    policy.write_text('{"min": 3, "max": 7, "targets": {"requests_per_s": 7}}')
    assert asked("--policy", policy, "--series", series, "--warm-up", 0) == 0
    drawn = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    has_free = ["┄" in line for line in drawn]
    assert has_free.count(True) == 1  # the least is hidden by what is ready
    assert has_free.index(True) == 2  # 7 of 9, from above


def test_a_richer_cluster_is_told(
    policy: Path, series: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ("--queue", "--room", 5, "--starts-per-minute", 1)
    assert asked("--policy", policy, "--series", series, "--warm-up", 0, *limits) == 0
    told = capsys.readouterr().out
    assert "waits in one queue; 5 replicas find room; 1 replicas a minute begin to start" in told
    assert "waiting, s of load" in told


def test_a_policy_is_asked_as_often_as_said(
    policy: Path, series: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once in the hour: at its begin, so nobody sees that more comes."""
    words = ("--warm-up", 0, "--asked-each", 3600)
    assert asked("--policy", policy, "--series", series, *words) == 0
    told = capsys.readouterr().out
    assert "a policy is asked each 3600 s" in told
    [changes] = [line for line in told.splitlines() if line.startswith("changes a day")]
    assert changes.split()[-1] == "0.0"


@pytest.mark.parametrize(
    ("content", "words", "why"),
    [
        ('{"max": 5, "targets": {"cpu": 0.6}}', ("--warm-up", 0), "a backtest goes by targets."),
        ("{", ("--warm-up", 0), "is no policy"),
        ('{"max": 5, "targets": {"concurrency": 4}}', (), "all of it is warm-up"),
    ],
)
def test_what_can_not_be_tried_is_refused(
    *,
    policy: Path,
    series: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    words: Sequence[object],
    why: str,
) -> None:
    policy.write_text(content)
    assert asked("--policy", policy, "--series", series, *words) == 1
    assert why in capsys.readouterr().err
    assert asked("--policy", policy, "--series", "nowhere.csv", *words) == 1


def test_the_log_is_a_past_too(
    policy: Path, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    for second in range(300):
        for app, count in (("chat", 20), ("other", 900)):
            fact = LoadObserved(
                app=app,
                second=BEGUN + timedelta(seconds=second),
                shard=0,
                shards=1,
                outcomes={"ok": count},
            )
            event = Event(
                id=f"{app}/{second}", source="stats", type=LOAD_OBSERVED, time=BEGUN, data=fact
            )
            others.put(message(event, topic=topics.LOAD.name, key=app))
    words = ("--kafka", "here", "--app", "chat", "--warm-up", 0, "--json")
    assert asked("--policy", policy, *words, log=others.log) == 0
    assert '"replica_hours": 0.25' in capsys.readouterr().out  # three replicas for five minutes
