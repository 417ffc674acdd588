"""The tune command: what it prints can be pasted, and what it can't do it says."""

from pathlib import Path

import msgspec
import pytest
import yaml

from midstage.contracts.policy import Policy
from midstage.eventlog.log import Log
from midstage.hpa.simulate.tuning_command import command


def asked(*words: object) -> int:
    def log_at(address: str) -> Log:
        raise AssertionError(address)

    return command([str(word) for word in words], log_at=log_at)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Two days, each with an hour that comes from one minute to the next."""
    file = tmp_path / "load.csv"
    rows = [
        f"{minute * 60},{90 if minute % 1440 // 60 in (9, 15) else 20}" for minute in range(2880)
    ]
    file.write_text("\n".join(["ts,value", *rows]))
    return file


@pytest.mark.slow
def test_a_policy_to_paste(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--series", series, "--warm-up", 0, "--carries", 10, "--max", 40) == 0
    printed = capsys.readouterr()
    policy = msgspec.convert(yaml.safe_load(printed.out)["scaling"], Policy, strict=True)
    assert policy.max == 40
    assert 5 <= (policy.targets.requests_per_s or 0) <= 8
    assert "HPA v2 at its cost" in printed.out
    assert "tuning on the first half: 100 %" in printed.err


@pytest.mark.slow
def test_the_same_as_json(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--series", series, "--warm-up", 0, "--json", "--money", 1.4) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["policy"]["max"] == 1000
    assert found["first"]["figures"]["cost"] <= 1.4
    assert found["second"]["theirs"] >= 0


def test_a_series_too_short_or_none(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--series", series) == 1
    assert "2.0 days is too short" in capsys.readouterr().err
    assert asked("--series", "nowhere.csv") == 1
