"""``midstage hpa backtest``: the command that people type, on a series of an hour."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from midstage.client.main import build
from midstage.contracts.errors import RefusedError

POLICY = "scaling:\n  max: 50\n  targets:\n    requests_per_s: 7\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    policy, series = tmp_path / "ours.yaml", tmp_path / "load.csv"
    policy.write_text(POLICY)
    rows = [f"{minute * 60},{20 if minute < 30 else 90}" for minute in range(60)]
    series.write_text("\n".join(["ts,value", *rows]))
    return policy, series


@pytest.mark.slow
def test_figures_of_two_policies_on_a_series(
    files: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    policy, series = files
    picture = tmp_path / "run.png"
    more = tmp_path / "more.json"
    more.write_text('{"min": 13, "max": 50, "targets": {"requests_per_s": 7}}')
    words = ["--warm-up", "0", "--json", "--plot", str(picture), "--against", str(more)]
    line = ["hpa", "backtest", "--policy", str(policy), "--series", str(series), *words]
    assert CliRunner().invoke(build(), line).exit_code == 0
    found = json.loads(capfd.readouterr().out)
    assert found["ours"]["violation"] > 0 == found["more"]["violation"]
    assert found["ours"]["replica_hours"] < found["more"]["replica_hours"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_one_past_is_asked_for(files: tuple[Path, Path]) -> None:
    found = CliRunner().invoke(build(), ["hpa", "backtest", "--policy", str(files[0])])
    assert isinstance(found.exception, RefusedError)


def test_what_is_no_policy_is_refused(files: tuple[Path, Path]) -> None:
    _, series = files
    line = ["hpa", "backtest", "--policy", str(series), "--series", str(series)]
    found = CliRunner().invoke(build(), line)
    assert isinstance(found.exception, RefusedError)
    assert "is no policy" in str(found.exception)
